//! `cargo xtask odoo`: a real Odoo 19 on loopback. The work inside the chroot is `odoo.sh`; here are the port (chosen
//! free, remembered in the folder), the wait for the first answer and what the person is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http::Client;
use crate::progress::{say, seconds, step};
use crate::run;

const SCRIPT: &str = include_str!("odoo.sh");
const DATABASE: &str = "odoo19";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[arg(value_enum)]
    act: Act,
    /// The folder everything lives in [default: target/odoo]
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Act {
    /// Install what is missing and start it
    Up,
    /// Stop it; what is installed stays
    Down,
    /// Back to the clean demo data, in seconds
    Reset,
    /// Where it is and whether it answers
    Status,
    /// Stop it and delete the folder
    Purge,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    let odoo = Odoo::at(args.folder.clone());
    match args.act {
        Act::Up => odoo.up()?,
        Act::Down => odoo.down()?,
        Act::Reset => odoo.reset()?,
        Act::Status => {}
        Act::Purge => odoo.script("purge", None)?,
    }
    odoo.status();
    Ok(())
}

/// One installation in one folder.
pub(crate) struct Odoo {
    folder: PathBuf,
}

impl Odoo {
    /// `None`: the default folder, `target/odoo`.
    pub(crate) fn at(folder: Option<PathBuf>) -> Self {
        Self { folder: folder.unwrap_or_else(|| run::repo().join("target/odoo")) }
    }

    pub(crate) fn database(&self) -> &'static str {
        DATABASE
    }

    /// An API key of the administrator, in a file only its owner may read.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.join("odoo.apikey")
    }

    /// `None` before the first `up`.
    pub(crate) fn url(&self) -> Option<String> {
        let port: u16 = std::fs::read_to_string(self.port_file()).ok()?.trim().parse().ok()?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    pub(crate) fn running(&self) -> bool {
        self.url().is_some_and(|url| {
            Client::new(&url, None).ask("GET", "/web/health", None).is_ok_and(|(status, _)| status == 200)
        })
    }

    /// Installs what is missing, starts both servers and waits for the first answer. Does nothing when it runs already.
    pub(crate) fn up(&self) -> Result<()> {
        if self.running() {
            return Ok(());
        }
        step("odoo: install and start (the first time takes some minutes)", || {
            let started = self.script("up", Some(self.choose_port()?)).and_then(|()| self.wait());
            if run::interrupted() {
                self.down()?;
            }
            started
        })
    }

    pub(crate) fn down(&self) -> Result<()> {
        self.script("down", None)
    }

    fn reset(&self) -> Result<()> {
        step("odoo: back to the clean database", || {
            self.script("reset", Some(self.choose_port()?))?;
            self.wait()
        })
    }

    fn wait(&self) -> Result<()> {
        let url = self.url().context("the port is not known")?;
        Client::new(&url, None).wait_ready("/web/health", None, Duration::from_secs(120)).with_context(|| {
            format!("odoo did not start; its output is in `{}`", self.folder.join("log/server.log").display())
        })
    }

    fn status(&self) {
        let running = self.running();
        say(&format!(
            "odoo: {}",
            if running { "running" } else { "not running (start it with `cargo xtask odoo up`)" }
        ));
        if let Some(url) = self.url().filter(|_| self.key_file().is_file()) {
            say(&format!("  url       {url}"));
            say(&format!("  database  {DATABASE}"));
            say(&format!("  key file  {}", self.key_file().display()));
            say("  login     admin / admin");
        }
    }

    fn port_file(&self) -> PathBuf {
        self.folder.join("port")
    }

    /// The remembered port, or a new one when there is none or somebody else has taken it meanwhile.
    fn choose_port(&self) -> Result<u16> {
        let remembered = std::fs::read_to_string(self.port_file()).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = remembered
            && (self.ours() || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok())
        {
            return Ok(port);
        }
        let port = run::free_port()?;
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("failed to create `{}`", self.folder.display()))?;
        std::fs::write(self.port_file(), port.to_string())?;
        Ok(port)
    }

    /// Our server process is there, whether or not it answers yet.
    fn ours(&self) -> bool {
        let process = std::fs::read_to_string(self.folder.join("odoo.pid")).unwrap_or_default();
        let root = self.folder.join("root").canonicalize();
        let its_root = std::fs::read_link(Path::new("/proc").join(process.trim()).join("root"));
        matches!((root, its_root), (Ok(a), Ok(b)) if a == b)
    }

    fn script(&self, verb: &str, port: Option<u16>) -> Result<()> {
        ensure!(run::exists("bash"), "`bash` is missing: apt-get install bash");
        let began = std::time::Instant::now();
        // From a file, not from standard input: what the script starts must not read the rest of the script.
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, SCRIPT.as_bytes())?;
        let mut command = run::command("bash");
        command.arg(file.path()).arg(verb).arg(&self.folder);
        if let Some(port) = port {
            command.arg(port.to_string());
        }
        let done = match verb {
            "down" => run::run_undisturbed(&mut command),
            _ => run::run(&mut command),
        };
        done.map_err(|_| {
            anyhow::anyhow!("`cargo xtask odoo {verb}` failed after {}, see above", seconds(began.elapsed()))
        })
    }
}
