//! A database of one test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

/// How to talk to a server.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) psql: PathBuf,
    pub(crate) port: u16,
    pub(crate) password: String,
    /// The server's major version.
    pub(crate) version: u32,
}

impl Access {
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// One statement; the rows it gives, a line each.
    pub(crate) fn query(&self, database: &str, statement: &str) -> Result<String> {
        let output = Command::new(&self.psql)
            .env_clear()
            .env("PGPASSWORD", &self.password)
            .env("PGCONNECT_TIMEOUT", "10")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to start `{}`", self.psql.display()))?;
        ensure!(output.status.success(), "`{statement}`: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// An empty database with a name nobody else has. Dropped with its connections when this value is.
#[derive(Debug)]
pub struct Database {
    access: Access,
    name: String,
}

impl Database {
    pub(crate) fn create(access: &Access) -> Result<Self> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        // Since 15 the template goes through the log page by page unless told otherwise: three times as slow.
        let strategy = if access.version >= 15 { " STRATEGY file_copy" } else { "" };
        // From `template0`, which nobody connects to: copying a template somebody is connected to fails.
        access.query("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0{strategy}"))?;
        Ok(Self { access: access.clone(), name })
    }

    /// `postgres://postgres:…@127.0.0.1:<port>/<name>`.
    pub fn url(&self) -> String {
        self.access.url(&self.name)
    }

    /// One statement through `psql`; the rows it gives, a line each, columns parted by `|`.
    pub fn query(&self, statement: &str) -> Result<String> {
        self.access.query(&self.name, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be stopped already, and it takes the database with it anyway.
        self.access.query("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).ok();
    }
}
