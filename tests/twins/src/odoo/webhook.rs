//! Webhooks of automation rules: sent one after the other once the transaction is committed, and before the caller has
//! its answer; a second for each, and no second try. What becomes of them nobody learns.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use super::python;

/// The server's read timeout.
const PATIENCE: Duration = Duration::from_secs(1);

/// A webhook to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Post {
    pub(super) url: String,
    pub(super) body: Value,
}

pub(super) async fn send_all(posts: &[Post]) {
    for post in posts {
        match tokio::time::timeout(PATIENCE, send(post)).await {
            Ok(Ok(status)) => tracing::debug!(status, "webhook sent"),
            // No URL in the text: it carries a secret.
            Ok(Err(error)) => tracing::info!(%error, "webhook failed"),
            Err(_) => tracing::info!("webhook timed out after 1s - it may or may not have failed"),
        }
    }
}

async fn send(post: &Post) -> anyhow::Result<u16> {
    let url = Url::parse(&post.url)?;
    anyhow::ensure!(url.scheme() == "http", "the twin posts over plain http only");
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let body = python::dumps(&post.body);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::post(path)
        .header("host", format!("{host}:{port}"))
        .header("user-agent", "python-requests/2.32.3")
        .header("accept-encoding", "gzip, deflate")
        .header("accept", "*/*")
        .header("connection", "keep-alive")
        .header("content-type", "application/json");
    if !url.username().is_empty() {
        let pair = STANDARD.encode(format!("{}:{}", url.username(), url.password().unwrap_or_default()));
        request = request.header("authorization", format!("Basic {pair}"));
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let _body = response.into_body().collect().await?;
        anyhow::Ok(status)
    };
    tokio::select! {
        answer = exchange => answer,
        ended = connection => {
            ended?;
            anyhow::bail!("the connection was closed before an answer")
        }
    }
}
