//! Who asks, and whether they may.

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use wharf_domain::ctx::Actor;

use crate::problem::Problem;
use crate::state::ApiState;

/// What a row demands of its caller. There is one administrator, who may do everything below `Public`; the names are
/// kept apart so that narrower roles need no new rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Perm {
    /// Anybody.
    Public,
    /// Whoever holds the tenant's hook token; the handler checks it, because it is part of the path.
    HookToken,
    FlowsRead,
    ExceptionsRead,
    ExceptionsResolve,
    JobsRead,
    JobsReplay,
    JobsCancel,
    SchedulesRead,
    SchedulesPause,
    ConnectionsRead,
    EffectsRead,
    EffectsResolve,
    /// The second pair of eyes: not the person who asked, whatever else they may do.
    EffectsApprove,
    RestoreLift,
    SecretsRead,
    /// Hands values in and moves their versions; nobody reads one.
    SecretsWrite,
    /// Destroys a tenant's key.
    SecretsShred,
    VaultRekey,
    GrantsRead,
    /// Says what a connection may do.
    GrantsDecide,
}

impl Perm {
    pub(crate) fn needs_admin(self) -> bool {
        !matches!(self, Self::Public | Self::HookToken)
    }
}

/// Lets the administrator through.
pub(crate) async fn admin_only(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(bearer).ok_or_else(Problem::unauthorized)?;
    if !state.is_admin(token) {
        return Err(Problem::unauthorized());
    }
    Ok(next.run(request).await)
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whom the audit names for an administrator's act.
pub(crate) fn administrator() -> Actor {
    Actor::User("admin".to_owned())
}
