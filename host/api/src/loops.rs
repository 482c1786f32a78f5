//! What this installation sent out and what comes back in. Every request of the host carries a mark in `Via`
//! (RFC 9110, 7.6.3); one that arrives with it was led around through somebody else's name, and is refused before
//! anything reads it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::problem::Problem;

/// The same service, for everybody but itself.
pub fn without_loops(router: Router, mark: &str) -> Router {
    router.layer(from_fn_with_state(Arc::<str>::from(mark), refuse))
}

async fn refuse(State(mark): State<Arc<str>>, request: Request, next: Next) -> Result<Response, Problem> {
    if passed(request.headers(), &mark) {
        tracing::warn!("a request of this host came back to it and was refused");
        return Err(Problem::new(StatusCode::LOOP_DETECTED, "loop", "this host sent the request itself"));
    }
    Ok(next.run(request).await)
}

/// Is the mark among those the request came by? Each is `<protocol> <name>`, perhaps with a comment.
fn passed(headers: &HeaderMap, mark: &str) -> bool {
    let values = headers.get_all(header::VIA).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|hop| hop.split_whitespace().nth(1) == Some(mark))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn d19_a_request_of_our_own_is_refused_when_it_comes_back() {
        let router = without_loops(Router::new().route("/", get(async || "in")), "wharf-12ab");
        for (via, status) in [
            (vec![], 200),
            (vec!["1.1 wharf-12ab"], 508),
            (vec!["1.0 proxy.example (a comment), 1.1 wharf-12ab"], 508),
            (vec!["1.1 proxy.example", "HTTP/1.1 wharf-12ab"], 508),
            (vec!["1.1 wharf-99ff"], 200),
            (vec!["1.1 wharf-12abc, wharf-12ab"], 200),
        ] {
            let mut request = Request::get("/").body(Body::empty()).expect("request");
            for value in &via {
                request.headers_mut().append(header::VIA, value.parse().expect("value"));
            }
            let answer = router.clone().oneshot(request).await.expect("answer");
            assert_eq!(answer.status(), status, "{via:?}");
        }
    }
}
