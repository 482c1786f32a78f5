//! Odoo 19 as a real server answers over its JSON-2 API, as far as releasing an order goes: orders, deliveries with
//! reservation against stock, packages, carriers, attachments, notes, an outbox filled by automation rules, webhooks.
//!
//! Statuses, error names and shapes follow exchanges recorded with Odoo 19.0; the records are made here. A call is one
//! transaction: what fails leaves nothing.

mod access;
mod admin;
mod automation;
mod cells;
mod compute;
mod db;
mod domain_filter;
mod env;
mod errors;
mod json2;
mod ledger;
mod load;
mod methods;
mod models;
mod outbox;
mod python;
mod read;
mod records;
mod schema;
mod seed;
mod session;
mod signatures;
mod values;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Map, Value, json};

use self::db::Db;
use self::env::Env;
use self::errors::{Raised, Result, dressed, page};
use self::webhook::Post;
use crate::clock::Clock;
use crate::desk::lock;
use crate::serve::{self, Habits, Running, Twin};

/// One database of one server.
#[derive(Debug, Clone)]
pub struct OdooConfig {
    /// 0 takes a free one.
    pub port: u16,
    pub database: String,
    /// Of the administrator (login `admin`), without an end.
    pub admin_key: String,
    /// The administrator's password, for web sessions.
    pub admin_password: String,
    /// What an integration's setup leaves behind; `None`: a database nobody has set up.
    pub integration: Option<Integration>,
    /// Order numbers count on from here.
    pub seed: u64,
}

/// A bot user with a key, the outbox model and the rules that fill it.
#[derive(Debug, Clone)]
pub struct Integration {
    pub bot_key: String,
    /// Where a rule posts when an order was confirmed or cancelled; `None`: no such rule.
    pub webhook_url: Option<String>,
}

impl Default for OdooConfig {
    fn default() -> Self {
        Self {
            port: 0,
            database: "odoo19".to_owned(),
            admin_key: "0".repeat(39) + "a",
            admin_password: "admin".to_owned(),
            integration: Some(Integration { bot_key: "0".repeat(39) + "b", webhook_url: None }),
            seed: 1,
        }
    }
}

/// Starts the twin on the loopback interface.
pub async fn start(config: OdooConfig) -> anyhow::Result<Running> {
    let clock = Clock::new();
    let port = config.port;
    let books = Mutex::new(Books::new(&config, &clock)?);
    serve::start(port, Arc::new(Odoo { config, clock: clock.clone(), books }), clock).await
}

struct Odoo {
    config: OdooConfig,
    clock: Clock,
    books: Mutex<Books>,
}

/// Everything that changes.
struct Books {
    db: Db,
    effects: Vec<ledger::Effect>,
    /// The last webhook that was due, for sending again.
    last_post: Option<Post>,
    /// Session to user.
    sessions: HashMap<String, i64>,
}

impl Books {
    fn new(config: &OdooConfig, clock: &Clock) -> anyhow::Result<Self> {
        let mut db = Db::new()?;
        let mut env = Env::new(&mut db, seed::ADMIN, timestamp(clock), Map::new());
        seed::plant(&mut env, config).map_err(|raised| anyhow::anyhow!("failed to seed: {}", raised.message))?;
        db.commit();
        Ok(Self { db, effects: Vec::new(), last_post: None, sessions: HashMap::new() })
    }
}

/// With microseconds, as the database has it.
fn timestamp(clock: &Clock) -> String {
    clock.now().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

impl Odoo {
    /// Runs one transaction; the webhooks it makes due are for the caller to send.
    fn transaction<T>(
        &self,
        user: i64,
        context: Map<String, Value>,
        run: impl FnOnce(&mut Env<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Post>)> {
        let now = timestamp(&self.clock);
        let mut books = lock(&self.books);
        let books = &mut *books;
        let mut env = Env::new(&mut books.db, user, now, context);
        let result = run(&mut env);
        let (posts, drafts) = (std::mem::take(&mut env.posts), std::mem::take(&mut env.effects));
        match result {
            Ok(value) => {
                books.db.commit();
                for draft in drafts {
                    let id = books.effects.len() + 1;
                    books.effects.push(ledger::Effect { id, draft, at: self.clock.rfc3339() });
                }
                if let Some(post) = posts.last() {
                    books.last_post = Some(post.clone());
                }
                Ok((value, posts))
            }
            Err(raised) => {
                books.db.rollback();
                Err(raised)
            }
        }
    }

    fn user_of_key(&self, key: &str) -> Option<i64> {
        let now = timestamp(&self.clock);
        let mut books = lock(&self.books);
        session::owner_of_key(&Env::new(&mut books.db, seed::ADMIN, now, Map::new()), key)
    }

    fn next_session(&self) -> usize {
        lock(&self.books).sessions.len()
    }

    fn remember_session(&self, session: &str, user: i64) {
        lock(&self.books).sessions.insert(session.to_owned(), user);
    }

    fn session_user(&self, session: &str) -> Option<i64> {
        lock(&self.books).sessions.get(session).copied()
    }
}

impl Twin for Odoo {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/json/2/{model}/{method}", post(json2::call).fallback(json2::hint))
            .route("/json/version", get(json2::version))
            .route("/web/version", get(json2::version))
            .route("/web/health", get(json2::health))
            .route("/web/session/authenticate", post(session::authenticate))
            .route("/web/dataset/call_kw/{model}/{method}", post(session::call_kw))
            .fallback(json2::elsewhere)
            .with_state(self)
    }

    fn admin(self: Arc<Self>) -> Router {
        admin::router(self)
    }

    fn effects(&self) -> Value {
        json!(lock(&self.books).effects)
    }

    fn reset(&self) {
        match Books::new(&self.config, &self.clock) {
            Ok(books) => *lock(&self.books) = books,
            // The same seed went well at the start.
            Err(error) => tracing::error!(%error, "failed to reset"),
        }
    }

    fn refusal(&self, status: StatusCode) -> Response {
        match status.as_u16() {
            413 => Raised::too_large().response(),
            // What stands in front of Odoo, or its server before a request is dispatched, speaks HTML.
            _ => page(status, status.canonical_reason().unwrap_or("Error")),
        }
    }

    fn empty(&self) -> Response {
        dressed(StatusCode::OK, "application/json; charset=utf-8", Body::empty())
    }

    fn habits(&self) -> Habits {
        Habits { max_body: 128 << 20, ignores_chunked: true }
    }
}
