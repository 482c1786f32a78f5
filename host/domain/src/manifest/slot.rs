//! Secret slots: what a secret is, which values make it up, and where the host puts it. An adapter names a slot and never
//! sees a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a secret is and where the host puts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SecretSlot {
    /// A fixed value in a header. `format` holds `{value}`.
    Header { header: String, format: String },
    /// User name and password as HTTP Basic.
    Basic,
    /// The key of an Odoo user, as a bearer token.
    OdooKey,
    /// The host fetches, caches and refreshes a bearer token.
    Oauth2ClientCredentials {
        /// Path of the token endpoint at the connection's origin.
        token_path: String,
        /// Body fields beside `grant_type`.
        #[serde(default)]
        form: BTreeMap<String, String>,
        /// Header that carries a config key's value, e.g. an account number: header name to config key.
        #[serde(default)]
        headers_from_config: BTreeMap<String, String>,
    },
    /// A person has authorised the host; it exchanges a refresh token for bearer tokens. The partner gives a new refresh
    /// token with each exchange, or keeps the old one.
    Oauth2Refresh {
        /// Path of the token endpoint at the connection's origin.
        token_path: String,
        /// Body fields beside `grant_type` and `refresh_token`.
        #[serde(default)]
        form: BTreeMap<String, String>,
        /// As in `oauth2-client-credentials`.
        #[serde(default)]
        headers_from_config: BTreeMap<String, String>,
    },
    /// The host exchanges an assertion it signs (RFC 7523) for a bearer token.
    JwtBearer {
        /// Path of the token endpoint at the connection's origin.
        token_path: String,
        algorithm: JwtAlgorithm,
        /// Whom the assertion is for, as the partner wants it: often the address of the token endpoint.
        audience: String,
        /// The claim `scope`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// Body fields beside `grant_type` and `assertion`.
        #[serde(default)]
        form: BTreeMap<String, String>,
    },
    /// The host signs each request with a shared key.
    HmacSign {
        /// Header of the signature.
        header: String,
        /// Holds `{signature}`, and `{key_id}` where the key has a name.
        format: String,
        hash: Hash,
        encoding: Encoding,
        /// What is signed. `{method}`, `{host}`, `{path}`, `{query}`, `{timestamp}`, `{body}` and `{body_sha256}` are
        /// those of the request that is sent; method, path and body have to be in it.
        template: String,
        /// Header that carries `{timestamp}`, in Unix seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp_header: Option<String>,
    },
    /// A certificate the host shows when it connects.
    Mtls,
}

/// How an assertion is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    Rs256,
    Es256,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    Sha256,
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Hex,
    Base64,
}

const NAMES: [&str; 7] = ["method", "host", "path", "query", "timestamp", "body", "body_sha256"];

impl SecretSlot {
    /// As the manifest writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Header { .. } => "header",
            Self::Basic => "basic",
            Self::OdooKey => "odoo-key",
            Self::Oauth2ClientCredentials { .. } => "oauth2-client-credentials",
            Self::Oauth2Refresh { .. } => "oauth2-refresh",
            Self::JwtBearer { .. } => "jwt-bearer",
            Self::HmacSign { .. } => "hmac-sign",
            Self::Mtls => "mtls",
        }
    }

    /// The values a person gives, by name. All of them are needed.
    pub fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Header { .. } | Self::OdooKey => &["value"],
            Self::Basic => &["username", "password"],
            Self::Oauth2ClientCredentials { .. } => &["client_id", "client_secret"],
            Self::Oauth2Refresh { .. } => &["client_id", "client_secret", "refresh_token"],
            Self::JwtBearer { .. } => &["issuer", "key_id", "private_key"],
            Self::HmacSign { format, .. } if format.contains("{key_id}") => &["key_id", "key"],
            Self::HmacSign { .. } => &["key"],
            Self::Mtls => &["certificate", "private_key"],
        }
    }

    /// The field that says whose account it is: another value there is another account. `None` where the secret names
    /// nobody, so that a new one is taken for the same account's.
    pub fn names_account(&self) -> Option<&'static str> {
        match self {
            Self::Header { .. } | Self::OdooKey | Self::HmacSign { .. } | Self::Mtls => None,
            Self::Basic => Some("username"),
            Self::Oauth2ClientCredentials { .. } | Self::Oauth2Refresh { .. } => Some("client_id"),
            Self::JwtBearer { .. } => Some("issuer"),
        }
    }

    /// Can a field hold this? `Err` is the rule it breaks; it fits after the field's name.
    pub fn check(&self, field: &str, value: &str) -> Result<(), &'static str> {
        let pem = matches!(field, "certificate" | "private_key");
        let odd = |c: char| c.is_control() && !(pem && matches!(c, '\n' | '\r'));
        if value.contains(odd) || (!pem && value.trim() != value) {
            return Err("must be one line of text without blanks around it");
        }
        if pem && !value.trim_start().starts_with("-----BEGIN ") {
            return Err("must be in PEM, beginning with `-----BEGIN `");
        }
        Ok(())
    }

    /// The headers the host writes for it. Nobody else may.
    pub fn headers(&self) -> Vec<&str> {
        match self {
            Self::Header { header, .. } => vec![header],
            Self::HmacSign { header, timestamp_header, .. } => {
                std::iter::once(header.as_str()).chain(timestamp_header.as_deref()).collect()
            }
            Self::Mtls => vec![],
            _ => vec!["authorization"],
        }
    }

    /// Rules the shape of a manifest cannot say.
    ///
    /// # Errors
    /// The rule that is broken, naming the key of the slot.
    pub fn valid(&self) -> Result<(), String> {
        let path = |path: &str| {
            let fine = path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || "?#".contains(c));
            if fine {
                Ok(())
            } else {
                Err(format!("`token_path` is `{path}`; it must start with `/` and hold no query"))
            }
        };
        if let Some(name) = self.headers().into_iter().find(|name| !is_header(name)) {
            return Err(format!("`{name}` is no name of an HTTP header; use letters, digits and `-`"));
        }
        match self {
            Self::Header { format, .. } if !(format.contains("{value}") && fits_a_header(format)) => {
                Err(format!("`format` is `{format}`; it must hold `{{value}}`, and ASCII that can be printed"))
            }
            Self::Oauth2ClientCredentials { token_path, .. }
            | Self::Oauth2Refresh { token_path, .. }
            | Self::JwtBearer { token_path, .. } => path(token_path),
            Self::HmacSign { format, template, .. } => {
                if !(format.contains("{signature}") && fits_a_header(format)) {
                    let rule = "it must hold `{signature}`, and ASCII that can be printed";
                    return Err(format!("`format` is `{format}`; {rule}"));
                }
                signed(template)
            }
            _ => Ok(()),
        }
    }
}

/// A token of RFC 9110, 5.6.2, in the characters headers really have.
fn is_header(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=100).contains(&name.len()) && name.bytes().all(plain)
}

fn fits_a_header(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// A signature that left out method, path or body could be put on another request.
fn signed(template: &str) -> Result<(), String> {
    let names: Vec<&str> =
        template.split('{').skip(1).map(|part| part.split_once('}').map_or("", |(name, _)| name)).collect();
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(name)) {
        return Err(format!("`template` names `{{{unknown}}}`; known are {}", NAMES.join(", ")));
    }
    let has = |name| names.contains(&name);
    if !(has("method") && has("path") && (has("body") || has("body_sha256"))) {
        return Err("`template` must hold `{method}`, `{path}` and `{body}` or `{body_sha256}`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hmac(format: &str, template: &str) -> SecretSlot {
        SecretSlot::HmacSign {
            header: "x-signature".to_owned(),
            format: format.to_owned(),
            hash: Hash::Sha256,
            encoding: Encoding::Hex,
            template: template.to_owned(),
            timestamp_header: Some("x-time".to_owned()),
        }
    }

    #[test]
    fn what_is_signed_holds_the_whole_request() {
        hmac("{signature}", "{method}{path}{body}").valid().expect("all there");
        for (format, template, key) in [
            ("{sig}", "{method}{path}{body}", "`format`"),
            ("{signature}", "{method}{path}", "`{body}`"),
            ("{signature}", "{path}{body}", "`{method}`"),
            ("{signature}", "{method}{path}{body}{header}", "`{header}`"),
            ("{signature}", "{method}{path}{body}{", "`{}`"),
        ] {
            let broken = hmac(format, template).valid().expect_err("a rule");
            assert!(broken.contains(key), "{broken}");
        }
        assert_eq!(hmac("{key_id}:{signature}", "").fields(), ["key_id", "key"]);
        assert_eq!(hmac("{signature}", "").headers(), ["x-signature", "x-time"]);
    }

    #[test]
    fn what_cannot_stand_in_a_request_is_no_slot() {
        let header =
            |header: &str, format: &str| SecretSlot::Header { header: header.to_owned(), format: format.to_owned() };
        header("X-Api-Key", "Token {value}").valid().expect("it can");
        for (slot, named) in [
            (header("x-{", "{value}"), "`x-{`"),
            (header("", "{value}"), "``"),
            (header("x-key", "{value}\r\nhost: evil"), "`format`"),
            (header("x-key", "é{value}"), "`format`"),
            (hmac("{signature}\n", "{method}{path}{body}"), "`format`"),
        ] {
            let broken = slot.valid().expect_err("a rule");
            assert!(broken.contains(named), "{broken}");
        }
    }

    #[test]
    fn only_keys_and_certificates_have_lines() {
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert_eq!(SecretSlot::Mtls.check("private_key", pem), Ok(()));
        for (slot, field, value) in [
            (SecretSlot::Mtls, "certificate", "AAAA"),
            (SecretSlot::OdooKey, "value", "a\nb"),
            (SecretSlot::Basic, "password", " a"),
        ] {
            assert!(slot.check(field, value).is_err(), "{field}");
        }
    }

    #[test]
    fn a_slot_reads_as_it_is_written() {
        for (slot, kind) in [
            (r#"{"type":"odoo-key"}"#, "odoo-key"),
            (r#"{"type":"mtls"}"#, "mtls"),
            (r#"{"type":"oauth2-refresh","token_path":"/t"}"#, "oauth2-refresh"),
            (r#"{"type":"jwt-bearer","token_path":"/t","algorithm":"ES256","audience":"a"}"#, "jwt-bearer"),
            (
                r#"{"type":"hmac-sign","header":"x","format":"{signature}","hash":"sha256","encoding":"hex","template":""}"#,
                "hmac-sign",
            ),
        ] {
            let read: SecretSlot = serde_json::from_str(slot).expect(slot);
            assert_eq!(read.kind(), kind);
        }
    }
}
