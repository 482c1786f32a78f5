//! Is the host able to take work?

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use wharf_domain::ids::JobId;
use wharf_store::jobs;

use crate::caller::Perm;
use crate::problem::Problem;
use crate::router::{Row, Verb, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Verb::Get, "/healthz", Perm::Public, health)]
}

/// 200 when the database answers. Says nothing about the host to whoever asks.
async fn health(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    // A look for a job that cannot exist: the cheapest question there is.
    let nobody = JobId::mint(state.db().ids(), state.db().now());
    jobs::get(state.db(), &nobody).await?;
    Ok(Json(json!({ "status": "ok" })))
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use crate::testing::House;

    #[tokio::test]
    async fn health_follows_the_database() {
        let house = House::new().await;
        let answer = house.ask(Method::GET, "/healthz", None, None).await;
        assert_eq!((answer.status, &answer.body), (200, &serde_json::json!({ "status": "ok" })));
        house.db.close().await;
        let answer = house.ask(Method::GET, "/healthz", None, None).await;
        assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (503, "store-unavailable", "5"));
    }
}
