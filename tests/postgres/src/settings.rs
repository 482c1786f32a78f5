//! What a server is told to be.

use std::path::PathBuf;

/// Lines of `postgresql.conf`, and the kind of disk it wants.
#[derive(Debug, Clone)]
pub struct Settings {
    lines: Vec<(String, String)>,
    folders: Vec<PathBuf>,
}

impl Settings {
    /// For tests: nothing is waited for, so a power cut would lose everything.
    pub fn fast() -> Self {
        let settings =
            Self { lines: Vec::new(), folders: vec![std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] };
        settings.connections().set("fsync", "off").set("synchronous_commit", "off").set("full_page_writes", "off")
    }

    /// As a server is installed: a commit is on disk. In `/var/tmp`, since `/tmp` may be memory, where writing through
    /// costs nothing and proves nothing.
    pub fn durable() -> Self {
        Self { lines: Vec::new(), folders: vec!["/var/tmp".into()] }.connections()
    }

    /// One more setting of `postgresql.conf`; the last value of a name counts.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    fn connections(self) -> Self {
        self.set("max_connections", "200")
    }

    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted() {
        let text = Settings::durable().set("log_line_prefix", "it's ").text();
        assert_eq!(text, "max_connections = '200'\nlog_line_prefix = 'it''s '\n");
    }
}
