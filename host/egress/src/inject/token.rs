//! Bearer tokens: where they come from, by the type of their slot. The token endpoint is always at the origin the call
//! goes to; a token request is repeated by nobody.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::fault::Fault;
use wharf_domain::manifest::SecretSlot;

use super::Refused;
use super::slot::Slot;
use crate::exchange::{Bearing, Budget, Outcome, exchange};
use crate::jwt::{self, Claims, SigningKey};
use crate::oauth::{self, Granted, Token, TokenKey};
use crate::policy::Permitted;
use crate::redact::Secrets;
use crate::wire::{Caps, WireRequest};
use crate::{Room, fault};

/// Token answers are small.
const TOKEN_CAPS: Caps = Caps { body_bytes: 64 << 10, headers: 64, head_bytes: 16 << 10 };

/// A token request before it is framed.
struct Asked<'a> {
    path: &'a str,
    headers: Vec<(HeaderName, HeaderValue)>,
    form: String,
}

impl Slot<'_> {
    /// A token that can be used: a cached one, or a new one.
    pub(super) async fn token(
        &self,
        room: &Room,
        permitted: &Permitted<'_>,
        secrets: &mut Secrets,
        budget: Budget,
        refused: Option<Refused>,
    ) -> Result<Token, Fault> {
        let key = TokenKey {
            tenant: self.grant.tenant.as_str().to_owned(),
            connection: self.grant.connection.clone(),
            slot: self.name.to_owned(),
            origin: permitted.origin(),
        };
        let refused = match refused {
            Some(Refused::Token(serial)) => Some(serial),
            _ => None,
        };
        self.learn_all(secrets)?;
        let fetch = async {
            if matches!(self.slot, SecretSlot::Oauth2Refresh { .. }) {
                return self.refresh(room, permitted, secrets, budget).await;
            }
            match self.fetch(room, permitted, budget).await {
                Err(fault) if fault.code == fault::TOKEN_REFUSED => match self.instead(room).await {
                    Some(other) => {
                        other.learn_all(secrets)?;
                        other.fetch(room, permitted, budget).await
                    }
                    None => Err(fault),
                },
                done => done,
            }
        };
        let credentials = self.fingerprint()?;
        let token = room.tokens.get(key, credentials, room.clock.as_ref(), refused, fetch).await?;
        self.learn(secrets, "token", token.value.expose_secret(), false);
        Ok(token)
    }

    /// Tells one client from another. A refresh token is no part of it: it changes with every exchange.
    fn fingerprint(&self) -> Result<[u8; 32], Fault> {
        let mut values = Vec::new();
        for field in self.slot.fields().iter().filter(|field| **field != "refresh_token") {
            values.push(self.value(field)?);
        }
        values.push(SecretString::from(self.account().to_owned()));
        Ok(oauth::fingerprint(&values))
    }

    /// Everything of the slot that must not be shown.
    fn learn_all(&self, secrets: &mut Secrets) -> Result<(), Fault> {
        for field in self.slot.fields() {
            let identifier = matches!(*field, "client_id" | "issuer" | "key_id");
            self.learn(secrets, field, self.value(field)?.expose_secret(), identifier);
        }
        if self.slot.fields().contains(&"client_secret") {
            self.learn(secrets, "client_secret", self.pair()?.trim_start_matches("Basic "), false);
        }
        Ok(())
    }

    /// What proves to the token endpoint who asks.
    fn pair(&self) -> Result<String, Fault> {
        Ok(oauth::basic(&self.value("client_id")?, &self.value("client_secret")?))
    }

    /// One request for a token.
    async fn fetch(&self, room: &Room, permitted: &Permitted<'_>, budget: Budget) -> Result<Granted, Fault> {
        let asked = match self.slot {
            SecretSlot::Oauth2ClientCredentials { token_path, form, headers_from_config } => Asked {
                path: token_path,
                headers: self.client(headers_from_config)?,
                form: oauth::form(&[("grant_type", "client_credentials")], form),
            },
            SecretSlot::JwtBearer { token_path, algorithm, audience, scope, form } => {
                let (issuer, key_id) = (self.value("issuer")?, self.value("key_id")?);
                let key = self.value("private_key")?;
                let key = SigningKey::parse(*algorithm, key.expose_secret()).map_err(|rule| self.unusable(rule))?;
                let claims = Claims {
                    issuer: issuer.expose_secret(),
                    key_id: key_id.expose_secret(),
                    audience,
                    scope: scope.as_deref(),
                    now: room.now(),
                };
                let made = jwt::assertion(*algorithm, &key, &claims);
                let assertion = made.ok_or_else(|| fault::host("no-randomness", "nothing can be signed".to_owned()))?;
                Asked { path: token_path, headers: vec![], form: oauth::form(&jwt::grant(&assertion), form) }
            }
            _ => return Err(self.wrong_kind()),
        };
        let answer = ask(room, permitted, budget, asked).await.answer;
        let answer = answer.map_err(|err| fault::token_unanswered(&err, self.name))?;
        if !(200..300).contains(&answer.status) {
            return Err(fault::token_refused(answer.status, self.name));
        }
        oauth::parse(&answer.body).map_err(|err| fault::token_unreadable(&err, self.name))
    }

    /// One exchange of the refresh token. The partner may void it with the exchange, so the exchange is written down
    /// before it begins, and the new refresh token is stored before anything it brought is used.
    async fn refresh(
        &self,
        room: &Room,
        permitted: &Permitted<'_>,
        secrets: &mut Secrets,
        budget: Budget,
    ) -> Result<Granted, Fault> {
        let Some(vault) = &room.vault else { return Err(self.needs_vault()) };
        // Another host may have exchanged it while this call waited for its turn.
        vault.look_again(&self.grant.tenant).await?;
        let now = Slot::of(room, self.grant, self.name, None).await?;
        let (at, version) = now.kept().ok_or_else(|| self.needs_vault())?;
        let SecretSlot::Oauth2Refresh { token_path, form, headers_from_config } = self.slot else {
            return Err(self.wrong_kind());
        };
        now.learn_all(secrets)?;
        let token = now.value("refresh_token")?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
        let asked =
            Asked { path: token_path, headers: now.client(headers_from_config)?, form: oauth::form(&fields, form) };
        let cut_off = vault.begin_exchange(&at, version, budget.left()).await?;
        let outcome = ask(room, permitted, budget, asked).await;
        let answer = match outcome.answer {
            Ok(answer) => answer,
            Err(err) => {
                if !outcome.sent {
                    vault.end_exchange(&at).await;
                }
                return Err(fault::token_unanswered(&err, self.name));
            }
        };
        if !(200..300).contains(&answer.status) {
            vault.end_exchange(&at).await;
            return Err(match answer.status {
                400 | 401 => fault::authorise_again(answer.status, &at, cut_off),
                status => fault::token_refused(status, self.name),
            });
        }
        // What cannot be read may have held a new refresh token: the exchange stays written down.
        let granted = oauth::parse(&answer.body).map_err(|err| fault::token_unreadable(&err, self.name))?;
        match granted.refresh_token.as_ref().filter(|new| new.expose_secret() != token.expose_secret()) {
            Some(new) => {
                let mut fields = now.fields().clone();
                fields.insert("refresh_token".to_owned(), new.clone());
                vault.exchanged(&at, version, &fields).await?;
                self.learn(secrets, "refresh_token", new.expose_secret(), false);
            }
            None => vault.end_exchange(&at).await,
        }
        Ok(granted)
    }

    fn needs_vault(&self) -> Fault {
        self.unusable("changes with every use, so only the vault can hold it; hand it in with `wharf secret set`")
    }

    /// The client's credentials, and the headers its settings ask for.
    fn client(&self, from_config: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
        let plain = |name: &str, text: &str| self.header(name, text, String::new()).map(|made| (made.name, made.value));
        let mut headers = vec![plain(header::AUTHORIZATION.as_str(), &self.pair()?)?];
        for (name, key) in from_config {
            let Some(value) = self.grant.config.get(key) else {
                let text = format!(
                    "secret `{}` needs the setting `{key}`; give it under `config` of connection `{}`",
                    self.name, self.grant.connection
                );
                return Err(fault::operator("config-missing", text));
            };
            headers.push(plain(name, value)?);
        }
        Ok(headers)
    }
}

/// Onto the wire. The answer is never taped or shown.
async fn ask(room: &Room, permitted: &Permitted<'_>, budget: Budget, asked: Asked<'_>) -> Outcome {
    let mut headers = asked.headers;
    headers.push((header::ACCEPT, HeaderValue::from_static("application/json")));
    headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
    let request = WireRequest {
        method: Method::POST,
        path: asked.path.to_owned(),
        headers,
        body: asked.form.into_bytes().into(),
    };
    exchange(room, permitted, request, TOKEN_CAPS, budget, Bearing::Secret).await
}
