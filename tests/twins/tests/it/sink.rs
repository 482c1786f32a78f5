//! A place webhooks arrive at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

pub(crate) struct Sink {
    pub(crate) base_url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _task: JoinSet<()>,
}

impl Sink {
    /// `/ok` answers at once, `/hang` after a minute, `/fail` with 500.
    pub(crate) async fn start() -> Self {
        let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let router = Router::new()
            .route("/ok", post(note))
            .route(
                "/hang",
                post(async |state: State<Arc<Mutex<Vec<Arrived>>>>, headers: HeaderMap, body: Bytes| {
                    note(state, headers, body).await;
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }),
            )
            .route(
                "/fail",
                post(async |state: State<Arc<Mutex<Vec<Arrived>>>>, headers: HeaderMap, body: Bytes| {
                    note(state, headers, body).await;
                    StatusCode::INTERNAL_SERVER_ERROR
                }),
            )
            .with_state(arrived.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, arrived, _task: task }
    }

    /// What arrived since the last time.
    pub(crate) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }
}

async fn note(State(arrived): State<Arc<Mutex<Vec<Arrived>>>>, headers: HeaderMap, body: Bytes) {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned())).collect();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    arrived.lock().unwrap().push(Arrived { headers, body });
}
