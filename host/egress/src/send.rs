//! What happens to one request, in order: permitted, counted, looked up in the journal, admitted by its account, given
//! its credential, written down as being sent, sent, understood, settled, reported, handed over.

mod arm;

use bytes::Bytes;
use http::header;
use serde_json::Value;
use wharf_domain::account::Outcome;
use wharf_domain::ctx::CallCtx;
use wharf_domain::effect::EffectClass;
use wharf_domain::fault::Fault;
use wharf_domain::ids::Digest;

use arm::Armed;

use crate::account::Admitted;
use crate::crash_point::crash_point;
use crate::exchange::{self, Budget, exchange};
use crate::inject::Refused;
use crate::key::{Keyed, keyed};
use crate::ledger::{End, Entry, Opening};
use crate::policy::{Permitted, permit};
use crate::redact::Redactor;
use crate::wire::{Caps, WireError, WireRequest, WireResponse};
use crate::{Grant, Ledger, Request, Response, Room, Steps, account, fault, proof, tape};

pub(crate) async fn send(
    room: &Room,
    grant: &Grant,
    ctx: &CallCtx,
    steps: &mut Steps,
    request: Request,
) -> Result<Response, Fault> {
    if grant.tenant != ctx.tenant {
        return Err(fault::host("wrong-tenant", format!("a grant of `{}` used for `{}`", grant.tenant, ctx.tenant)));
    }
    steps.count(grant.limits.max_requests)?;
    if let Some(db) = &room.db
        && let Err(error) = room.scans.note(db, grant, &request.url, room.now()).await
    {
        tracing::error!("failed to write down that `{}` asks for many places: {error}", grant.connection);
    }
    let permitted = permit(grant, &room.config.own, &request).map_err(|denial| {
        tracing::warn!(
            tenant = %grant.tenant, connection = %grant.connection, rule = denial.rule(),
            "egress denied a request of `{}`: rule `{}`", grant.connection, denial.rule()
        );
        fault::denied(&denial)
    })?;
    if permitted.class != EffectClass::Read {
        steps.risked += 1;
    }
    if let Some(vault) = &room.vault {
        vault.fresh(&grant.tenant).await?;
    }
    let name = permitted.name();
    let (body, timeout_ms) = (request.body.unwrap_or_default(), request.timeout_ms);
    let call = Call { room, grant, ctx, permitted, name, body, timeout_ms };
    match call.ledger()? {
        Some(ledger) => Box::pin(call.journaled(ledger, steps)).await,
        None => call.freely(steps).await,
    }
}

/// A permitted request on its way.
struct Call<'a> {
    room: &'a Room,
    grant: &'a Grant,
    ctx: &'a CallCtx,
    permitted: Permitted<'a>,
    name: String,
    body: Bytes,
    timeout_ms: Option<u64>,
}

/// What an answer says about the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Happened,
    /// Nothing was changed.
    Refused,
    Unproven,
}

impl Call<'_> {
    /// The ledger when this request belongs in it.
    fn ledger(&self) -> Result<Option<&Ledger>, Fault> {
        let class = self.permitted.class;
        match (&self.room.ledger, self.ctx.job) {
            (None, _) => Ok(None),
            _ if class == EffectClass::Read || self.room.wire.offline() => Ok(None),
            (Some(ledger), Some(_)) => Ok(Some(ledger)),
            // Repeating it is harmless, so nothing is lost without a row.
            (Some(_), None) if class == EffectClass::Natural => Ok(None),
            (Some(_), None) => {
                let text = format!("`{}` changes something that must happen once; it needs a job", self.name);
                Err(fault::host("effect-needs-job", text))
            }
        }
    }

    /// Milliseconds until the request must be over.
    fn time_left(&self) -> Result<u64, Fault> {
        let left = u64::try_from(self.ctx.deadline.since(self.room.now())).ok().filter(|left| *left > 0);
        let left = left.ok_or_else(|| fault::deadline(&self.name))?;
        Ok(left.min(self.room.config.request_timeout_ms).min(self.timeout_ms.unwrap_or(u64::MAX)).max(1))
    }

    /// Waits for the account's leave, then fetches the credential. The request's time begins once it may go.
    async fn admit(&self, refused: Option<Refused>, steps: &mut Steps) -> Result<Ready<'_>, Fault> {
        let millis = i64::try_from(self.time_left()?).unwrap_or(i64::MAX);
        let admitted = self.room.admit(self.grant, self.ctx, steps, millis).await?;
        let armed = match self.time_left().map(Budget::of) {
            Ok(budget) => self.arm(refused, budget).await,
            Err(fault) => Err(fault),
        };
        match armed {
            Ok(armed) => Ok(Ready { armed, admitted }),
            Err(fault) => {
                self.report(admitted, of_token(&fault)).await;
                Err(fault)
            }
        }
    }

    /// A request that may be repeated, or that nobody keeps books on.
    async fn freely(&self, steps: &mut Steps) -> Result<Response, Fault> {
        let mut refused = None;
        loop {
            let Ready { armed, admitted } = self.admit(refused, steps).await?;
            let done = self.go(&armed, None, steps).await;
            self.keep(&done.tape).await;
            self.report(admitted, self.outcome(&done, self.permitted.class)).await;
            self.note_use(&armed, done.echo.then(|| status(&done))).await;
            match done.answer {
                Err(err) => return Err(fault::no_answer(&err, &self.name, self.permitted.class, done.sent)),
                Ok(answer) if refused.is_none() => match self.turned_down(&armed, &answer).await {
                    None => return Ok(answer),
                    another => refused = another,
                },
                Ok(answer) => return Ok(answer),
            }
        }
    }

    /// A request whose effect must be known: written down before the first byte, settled after the last.
    async fn journaled(&self, ledger: &Ledger, steps: &mut Steps) -> Result<Response, Fault> {
        let mut entry = self.entry(steps)?;
        let mut row = match ledger.open_step(&entry).await? {
            Opening::Answered(answer) => return Ok(answer),
            Opening::Ready(row) => *row,
        };
        crash_point!("cp05_intent_committed");
        let mut refused = None;
        loop {
            let key = keyed(self.permitted.route, row.remote_key.as_deref(), &self.body)?;
            let Ready { armed, admitted } = self.admit(refused, steps).await?;
            // It may have waited for its turn meanwhile.
            entry = entry.under(self.account());
            let deadline = self.ctx.deadline.min(self.room.now().plus(armed.budget.left()));
            row = match ledger.sending(&entry, &row, deadline).await {
                Ok(row) => row,
                Err(fault) => {
                    self.report(admitted, Outcome::Unused).await;
                    return Err(fault);
                }
            };
            crash_point!("cp06_sending_committed");
            let done = self.go(&armed, key.as_ref(), steps).await;
            crash_point!("cp10_answer_received");
            // The effect comes first: what is not written down yet is in doubt.
            let outcome = self.outcome(&done, row.class);
            let echo = done.echo.then(|| status(&done));
            let answer = match done.answer {
                Ok(answer) => answer,
                Err(err) => {
                    // The class it was opened with: a manifest changed since then loosens nothing.
                    let fault = fault::no_answer(&err, &self.name, row.class, done.sent);
                    let end = if done.sent { End::Unknown(&fault) } else { End::NotSent(&fault) };
                    let closed = ledger.close_step(&entry, &row, end, &done.tape).await;
                    self.report(admitted, outcome).await;
                    return Err(closed.err().unwrap_or(fault));
                }
            };
            let meaning = self.meaning(&answer);
            let doubt = fault::answered(answer.status, meaning == Meaning::Refused, &self.name);
            let end = match meaning {
                Meaning::Happened => End::Happened(&answer),
                Meaning::Refused => End::Refused(&doubt),
                Meaning::Unproven => End::Unproven(&doubt),
            };
            let closed = ledger.close_step(&entry, &row, end, &done.tape).await;
            self.report(admitted, outcome).await;
            row = closed?;
            crash_point!("cp11_outcome_committed");
            self.note_use(&armed, echo).await;
            if refused.is_some() || meaning != Meaning::Refused {
                return Ok(answer);
            }
            refused = self.turned_down(&armed, &answer).await;
            if refused.is_none() {
                return Ok(answer);
            }
            row = ledger.reopen(&entry, &row).await?;
        }
    }

    fn entry(&self, steps: &mut Steps) -> Result<Entry<'_>, Fault> {
        let route = self.permitted.route;
        let business = self.ctx.business.as_ref().filter(|key| Some(&key.effect_type) == route.effect.as_ref());
        let entry = Entry::new(self.ctx, self.grant, route, steps.mutating_step(&self.name), business, self.digest());
        entry.map(|entry| entry.under(self.account()))
    }

    /// Whose account it is now.
    fn account(&self) -> Digest {
        self.grant.account_with(self.room.vault.as_ref())
    }

    /// What makes a repeat a repeat. Headers but `content-type` are left out: trace ids differ between attempts.
    fn digest(&self) -> Digest {
        let of_type = self.permitted.headers.iter().find(|(name, _)| name == header::CONTENT_TYPE);
        let mut bytes = format!("{} {}\n", self.permitted.method, self.permitted.url).into_bytes();
        bytes.extend_from_slice(of_type.map_or(b"".as_slice(), |(_, value)| value.as_bytes()));
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        Digest::of(&bytes)
    }

    /// What the account is told of it.
    fn outcome(&self, done: &Done, class: EffectClass) -> Outcome {
        match &done.answer {
            Ok(answer) => account::of_answer(self.grant, answer, self.room.now()),
            // It speaks, and too much.
            Err(WireError::TooLarge { .. } | WireError::Encoding { .. }) => Outcome::Answered,
            Err(err) => Outcome::of_fault(&fault::no_answer(err, &self.name, class, done.sent)),
        }
    }

    async fn report(&self, admitted: Option<Admitted<'_>>, outcome: Outcome) {
        if let Some(admitted) = admitted {
            admitted.report(outcome).await;
        }
    }

    /// Onto the wire and back, with the key in its place. The request is listed in `steps` as it left, by names.
    async fn go(&self, armed: &Armed, key: Option<&Keyed>, steps: &mut Steps) -> Done {
        let (mut headers, mut body) = (self.permitted.headers.clone(), self.body.clone());
        match key {
            Some(Keyed::Header(name, value)) => headers.push((name.clone(), value.clone())),
            Some(Keyed::Body(with_key)) => body = with_key.clone(),
            None => {}
        }
        let mut shown: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        // A signature covers the body as it is now, with its key.
        let proofs = armed.credential.as_ref().map(|credential| credential.headers(&self.signed(&body)));
        let unsigned = matches!(proofs, Some(None));
        for proof in proofs.flatten().into_iter().flatten() {
            shown.push((proof.name.to_string(), proof.shown));
            headers.push((proof.name, proof.value));
        }
        let method = self.permitted.method.clone();
        let listed = tape::request(method.as_str(), self.permitted.url.as_str(), shown, &body, &armed.redactor);
        let request = WireRequest { method, path: path_and_query(&self.permitted), headers, body };
        let config = &self.room.config;
        let caps = Caps {
            body_bytes: config.max_response_bytes.min(self.grant.limits.max_response_bytes),
            headers: config.max_response_headers,
            head_bytes: config.max_response_head_bytes,
        };
        let outcome = if unsigned {
            let detail = "the signature cannot stand in its header".to_owned();
            exchange::Outcome { answer: Err(WireError::Broken { detail }), sent: false }
        } else {
            exchange(self.room, &self.permitted, request, caps, armed.budget, armed.bearing()).await
        };
        let echo = outcome.answer.as_ref().is_ok_and(|answer| armed.redactor.finds(&answer.headers, &answer.body));
        let answer = outcome.answer.map(|answer| echo_free(answer, &armed.redactor));
        let tape = tape::exchange(&listed, answer.as_ref(), &armed.redactor, config.max_tape_body_bytes);
        tracing::debug!(
            tenant = %self.grant.tenant, connection = %self.grant.connection,
            status = answer.as_ref().map_or(0, |answer| answer.status), sent = outcome.sent,
            "`{}` to `{}`", self.name, self.grant.connection
        );
        steps.requests.push(listed);
        Done { answer, sent: outcome.sent, tape, echo }
    }

    fn meaning(&self, answer: &Response) -> Meaning {
        match answer.status {
            204 | 205 => Meaning::Happened,
            200..=299 if proof::is_proof(answer) => Meaning::Happened,
            status if self.permitted.route.proves_no_effect(status) => Meaning::Refused,
            // Also a success without a word, or with another one than it says: some partners answer a failure so.
            _ => Meaning::Unproven,
        }
    }

    /// A tape that cannot be kept fails no call.
    async fn keep(&self, exchange: &Value) {
        let Some(db) = self.room.db.as_ref().filter(|_| self.ctx.job.is_some()) else {
            return;
        };
        if let Err(err) = tape::keep(db, self.ctx, exchange).await {
            tracing::warn!(connection = %self.grant.connection, "failed to keep an exchange on the tape: {err}");
        }
    }
}

/// A request that may go.
struct Ready<'a> {
    armed: Armed,
    admitted: Option<Admitted<'a>>,
}

/// One exchange of the caller, as it may be seen.
struct Done {
    answer: Result<Response, WireError>,
    sent: bool,
    tape: Value,
    /// The partner sent a secret back; it is not in the answer any more.
    echo: bool,
}

/// 0 without an answer.
fn status(done: &Done) -> u16 {
    done.answer.as_ref().map_or(0, |answer| answer.status)
}

/// What a failed token request says about the partner.
fn of_token(fault: &Fault) -> Outcome {
    match fault.provider.as_ref().and_then(|provider| provider.http_status) {
        Some(status) => Outcome::of_status(status, None),
        None => Outcome::of_fault(fault),
    }
}

/// The answer without the secrets the partner sent back.
fn echo_free(answer: WireResponse, redactor: &Redactor) -> Response {
    Response {
        status: answer.status,
        headers: answer.headers.into_iter().map(|(name, value)| (name, redactor.echo_text(&value))).collect(),
        body: redactor.echo(answer.body),
    }
}

fn path_and_query(permitted: &Permitted<'_>) -> String {
    match permitted.url.query() {
        Some(query) => format!("{}?{query}", permitted.url.path()),
        None => permitted.url.path().to_owned(),
    }
}
