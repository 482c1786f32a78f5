//! The list of everything that can be asked.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::caller::{Perm, admin_only};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::{admin, body, health, ingress};

/// The methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// One row: what is asked, who may, who answers.
pub(crate) struct Row {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) perm: Perm,
    answer: Answer,
}

/// Binds a handler to a method; the method itself is in the row.
type Answer = Box<dyn FnOnce(MethodFilter) -> MethodRouter<ApiState>>;

/// Makes a row.
pub(crate) fn route<H, T>(verb: Verb, path: &'static str, perm: Perm, handler: H) -> Row
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Row { verb, path, perm, answer: Box::new(|filter| on(filter, handler)) }
}

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    [
        health::routes(),
        ingress::odoo::routes(),
        admin::flows::routes(),
        admin::exceptions::routes(),
        admin::jobs::routes(),
        admin::schedules::routes(),
        admin::connections::routes(),
        admin::effects::routes(),
        admin::restore::routes(),
        admin::secrets::routes(),
        admin::grants::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The service.
pub fn router(state: ApiState) -> Router {
    let mut router = Router::new();
    for row in rows() {
        let mut answer = (row.answer)(row.verb.filter());
        if row.perm.needs_admin() {
            answer = answer.route_layer(from_fn_with_state(state.clone(), admin_only));
        }
        router = router.route(row.path, answer);
    }
    router
        .fallback(async || Problem::no_such_resource())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(map_response(data_only))
        .with_state(state)
}

/// What partners and adapters write comes back in answers. A browser that is shown one takes it for data: it guesses no
/// type, runs nothing, is framed by nobody and keeps no copy.
async fn data_only(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::testing::House;

    #[test]
    fn every_row_says_who_may() {
        let list: Vec<_> = rows().iter().map(|row| format!("{:?} {} {:?}", row.verb, row.path, row.perm)).collect();
        assert_eq!(
            list,
            [
                "Get /healthz Public",
                "Post /hooks/odoo/{tenant}/{token} HookToken",
                "Get /api/v1/tenants/{tenant}/flows FlowsRead",
                "Get /api/v1/tenants/{tenant}/flows/order/{id} FlowsRead",
                "Get /api/v1/tenants/{tenant}/exceptions ExceptionsRead",
                "Post /api/v1/tenants/{tenant}/exceptions/{id}/resolve ExceptionsResolve",
                "Get /api/v1/jobs/counts JobsRead",
                "Get /api/v1/queue JobsRead",
                "Get /api/v1/dead-letters JobsRead",
                "Get /api/v1/tenants/{tenant}/dead-letters JobsRead",
                "Get /api/v1/tenants/{tenant}/jobs JobsRead",
                "Post /api/v1/tenants/{tenant}/jobs/replay JobsReplay",
                "Get /api/v1/tenants/{tenant}/jobs/{id} JobsRead",
                "Post /api/v1/tenants/{tenant}/jobs/{id}/replay JobsReplay",
                "Post /api/v1/tenants/{tenant}/jobs/{id}/cancel JobsCancel",
                "Get /api/v1/tenants/{tenant}/schedules SchedulesRead",
                "Post /api/v1/tenants/{tenant}/schedules/{name}/pause SchedulesPause",
                "Post /api/v1/tenants/{tenant}/schedules/{name}/resume SchedulesPause",
                "Get /api/v1/tenants/{tenant}/connections ConnectionsRead",
                "Get /api/v1/tenants/{tenant}/connections/{connection}/usage ConnectionsRead",
                "Get /api/v1/tenants/{tenant}/effects EffectsRead",
                "Get /api/v1/tenants/{tenant}/effects/{id} EffectsRead",
                "Post /api/v1/tenants/{tenant}/effects/{id}/resolve-happened EffectsResolve",
                "Post /api/v1/tenants/{tenant}/effects/{id}/resend EffectsResolve",
                "Post /api/v1/tenants/{tenant}/effects/{id}/resend/approve EffectsApprove",
                "Post /api/v1/tenants/{tenant}/effects/{id}/abandon EffectsResolve",
                "Post /api/v1/tenants/{tenant}/effects/{id}/compensate EffectsResolve",
                "Get /api/v1/tenants/{tenant}/restore-hold EffectsRead",
                "Post /api/v1/tenants/{tenant}/restore-hold/lift RestoreLift",
                "Get /api/v1/tenants/{tenant}/secrets SecretsRead",
                "Put /api/v1/tenants/{tenant}/secrets/{connection}/{slot} SecretsWrite",
                "Delete /api/v1/tenants/{tenant}/secrets/{connection}/{slot} SecretsWrite",
                "Post /api/v1/tenants/{tenant}/secrets/{connection}/{slot}/promote SecretsWrite",
                "Post /api/v1/tenants/{tenant}/secrets/shred SecretsShred",
                "Post /api/v1/vault/rekey VaultRekey",
                "Get /api/v1/grants GrantsRead",
                "Get /api/v1/tenants/{tenant}/grants/{connection} GrantsRead",
                "Post /api/v1/tenants/{tenant}/grants/{connection}/{version}/accept GrantsDecide",
                "Post /api/v1/tenants/{tenant}/grants/{connection}/{version}/refuse GrantsDecide",
            ]
        );
    }

    #[tokio::test]
    async fn a_row_for_the_administrator_refuses_everybody_else() {
        let house = House::new().await;
        for row in rows().into_iter().filter(|row| row.perm.needs_admin()) {
            let path = row.path.replace("{tenant}", "nordic").replace("{id}", "42").replace("{name}", "x");
            let path = path.replace("{connection}", "acme").replace("{slot}", "login");
            let method = match row.verb {
                Verb::Get => Method::GET,
                Verb::Post => Method::POST,
                Verb::Put => Method::PUT,
                Verb::Delete => Method::DELETE,
            };
            for token in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic YTpi"), Some("admin-secret")] {
                let answer = house.ask(method.clone(), &path, token, None).await;
                assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{path} with {token:?}");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            }
            let answer = house.ask(method.clone(), &path, Some("bearer admin-secret"), Some("{}")).await;
            assert_ne!(answer.status, 401, "{path}");
        }
    }

    #[tokio::test]
    async fn what_does_not_exist_is_a_problem_too() {
        let house = House::new().await;
        let answer = house.ask(Method::GET, "/nowhere", None, None).await;
        assert_eq!((answer.status, answer.code()), (404, "not-found"));
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let answer = house.ask(Method::POST, "/healthz", None, None).await;
        assert_eq!((answer.status, answer.code()), (405, "method-not-allowed"));
    }

    /// Markup in a name, an error or a path is text in every answer there is.
    #[tokio::test]
    async fn j3_markup_stays_text_and_no_answer_is_a_page() {
        let house = House::new().await;
        let markup = "<script>alert(1)</script><img src=x onerror=alert(1)>";
        house.exception_with(markup).await;
        let listed = house.get("/api/v1/tenants/nordic/exceptions").await;
        assert_eq!(listed.body["exceptions"][0]["cause"], markup, "whole, and in a text of JSON");
        let refused = house.post("/api/v1/tenants/nordic/exceptions/x/resolve", &format!("{{\"{markup}\":1}}")).await;
        assert!(refused.status >= 400);
        let nowhere = house.get("/%3Cscript%3Ealert(1)%3C/script%3E").await;
        assert_eq!(nowhere.status, 404);
        for answer in [listed, refused, nowhere, house.ask(Method::GET, "/healthz", None, None).await] {
            assert!(["application/json", "application/problem+json"].contains(&answer.header("content-type")));
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        wharf_attack::assert_as_written("J3", "text");
    }
}
