//! The accept loop and one connection. A connection that is to end without an answer is closed with a reset, which is
//! what a client sees when a server dies.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Twin, answer};
use crate::desk::Desk;

/// Everything a connection needs.
pub(super) struct House {
    pub(super) partner: Router,
    pub(super) admin: Router,
    pub(super) twin: Arc<dyn Twin>,
    pub(super) desk: Arc<Desk>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Close the socket now and send nothing.
#[derive(Debug)]
pub(super) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script asks for a closed connection")
    }
}

impl std::error::Error for HangUp {}

pub(super) async fn accept(listener: TcpListener, house: Arc<House>) {
    loop {
        let accepted = tokio::select! {
            () = house.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                house.tasks.spawn(serve(stream, house.clone()));
            }
            // Out of file descriptors, mostly: others may close theirs.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, house: Arc<House>) {
    let stop = house.stop.clone();
    let mut connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), Requests { house: house.clone() });
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
    };
    let stream = connection.into_parts().io.into_inner();
    match ended {
        Some(Err(error)) if hung_up(&error) => {
            // Linger zero: the kernel sends RST at the drop below and throws away what was not yet sent.
            if let Err(error) = stream.set_zero_linger() {
                tracing::warn!(%error, "failed to prepare a reset");
            }
        }
        Some(Err(error)) => tracing::debug!(%error, "connection ended"),
        Some(Ok(())) | None => {}
    }
}

fn hung_up(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<HangUp>())
}

struct Requests {
    house: Arc<House>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = HangUp;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HangUp>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let house = self.house.clone();
        Box::pin(async move {
            // A task of its own: what a partner has begun it finishes, even when the client has gone away.
            let stop = house.stop.clone();
            let work = house.tasks.clone().spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => Err(HangUp),
                    answer = answer::answer(&house, request) => answer,
                }
            });
            work.await.unwrap_or(Err(HangUp))
        })
    }
}
