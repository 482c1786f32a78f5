//! Reading what the host sends along.

use crate::{CallContext, Fault};

/// The value of `key` in `options`, `extensions` or `config`; none when it is absent or empty.
pub fn lookup<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| value.as_str())
}

impl CallContext {
    /// A setting of the connection; none when it is absent or empty.
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
