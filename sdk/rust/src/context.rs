//! Reading what the host sends along.

use crate::{CallContext, Fault};

/// The value of `key` in `options`, `extensions` or `config`; none when it is absent or empty.
pub fn lookup<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str())
}

impl CallContext {
    /// A setting of the connection, as text whatever its type: `zpl`, `7`, `true`; none when it is absent or empty.
    ///
    /// `adapter.toml` declares it, and the host has held the value against its rules before any call. The declaration is
    /// a JSON Schema of one flat object, of which the host knows `type` (`string`, `integer`, `number`, `boolean`),
    /// `description`, `default`, `enum`, `pattern`, `minLength`, `maxLength`, `minimum`, `maximum` and `required`; every
    /// other keyword is an error.
    ///
    /// ```toml
    /// [config]
    /// required = ["account"]
    /// [config.properties.account]
    /// type = "string"
    /// description = "account that pays, six letters and digits"
    /// pattern = "^[A-Za-z0-9]{6}$"
    /// ```
    pub fn setting(&self, key: &str) -> Option<&str> {
        lookup(&self.config, key)
    }

    /// A setting the manifest requires. The host guarantees it, so its absence is `invalid-input` naming the key.
    pub fn required(&self, key: &str) -> Result<&str, Fault> {
        self.setting(key).ok_or_else(|| {
            Fault::invalid_input("setting-missing", format!("setting `{key}` is missing")).with_field(
                &format!("config.{key}"),
                "missing",
                "set it on the connection",
            )
        })
    }

    /// An absolute URL at the connection's origin. `path` starts with `/` and holds escaped segments only.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }
}
