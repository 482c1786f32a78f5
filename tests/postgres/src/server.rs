//! A running server.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::database::{Access, Database};
use crate::home::Home;
use crate::settings::Settings;
use crate::shared;

/// Long enough for a child of a killed process to have ended, too.
const OWN_GRACE: Duration = Duration::from_secs(2);

/// Ends when dropped, or soon after the process that holds it; a shared one some seconds after its last user.
#[derive(Debug)]
pub struct Server {
    home: Home,
    access: Access,
    own: bool,
    /// The lock that says that somebody is here. Given back by the kernel when the process ends.
    #[expect(dead_code, reason = "held, not read")]
    held: File,
}

impl Server {
    /// The fast server all test processes of this target folder share; the first one starts it. Use it through
    /// [`Server::database`]; what stops or changes it would hit the others.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start; the text says what to do. The same one for every caller.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        let server = SHARED.get_or_init(|| {
            let folder = shared::folder().map_err(|error| format!("{error:#}"))?;
            Server::shared_in(&folder, shared::GRACE).map_err(|error| format!("{error:#}"))
        });
        server.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// As [`Server::shared`], with everybody who names the same folder. `grace` is how long it outlives its last user;
    /// the first one's counts.
    ///
    /// # Errors
    /// As [`Server::shared`].
    pub fn shared_in(folder: &Path, grace: Duration) -> Result<Self> {
        let (home, access, held) = shared::join(folder, grace)?;
        Ok(Self { home, access, own: false, held })
    }

    /// A server of one's own, gone when this value is dropped.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start; the text says what to do.
    pub fn start(settings: &Settings) -> Result<Self> {
        let home = Home::create(settings)?;
        let users = home.folder().join("users.lock");
        let held = shared::lock_file(&users)?;
        held.lock_shared().context("failed to lock a new file")?;
        home.watch(&users, &home.folder().join("note"), OWN_GRACE)?;
        let access = home.begin(settings)?;
        Ok(Self { home, access, own: true, held })
    }

    /// A new, empty database.
    ///
    /// # Errors
    /// The server does not run or has no connection left.
    pub fn database(&self) -> Result<Database> {
        Database::create(&self.access)
    }

    /// On 127.0.0.1. Stays the same over a restart.
    pub fn port(&self) -> u16 {
        self.access.port
    }

    /// For the superuser `postgres`, password included.
    pub fn url(&self, database: &str) -> String {
        self.access.url(database)
    }

    /// The process number; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.home.pid()
    }

    /// As a crash does: no checkpoint, all clients are cut off.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop_immediate(&self) -> Result<()> {
        self.home.stop()
    }

    /// After [`Server::stop_immediate`], with the same data, port and password. Returns when it answers.
    ///
    /// # Errors
    /// It runs already, or it does not start; the text has the end of its log.
    pub fn start_again(&self) -> Result<()> {
        self.home.start(self.access.port)
    }

    /// [`Server::stop_immediate`] and [`Server::start_again`].
    ///
    /// # Errors
    /// As these two.
    pub fn restart(&self) -> Result<()> {
        self.stop_immediate()?;
        self.start_again()
    }

    /// The server and all of its connections stand still (SIGSTOP): clients wait, nothing is closed.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<()> {
        self.home.signal(Signal::STOP)
    }

    /// Ends [`Server::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        self.home.signal(Signal::CONT)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.own {
            return;
        }
        // What fails here is done by the watcher two seconds later. A frozen server hears nothing.
        if self.home.pid().is_some() {
            self.thaw().and_then(|()| self.stop_immediate()).ok();
        }
        self.home.remove().ok();
    }
}
