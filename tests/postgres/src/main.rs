//! `cargo run -p wharf-scratch-postgres [folder seconds]`: prints the URL of a shared server and stays its user until
//! the end of standard input. With a folder it is that folder's server, which outlives its last user by the seconds.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wharf_scratch_postgres::Server;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named;
    let server = match arguments.as_slice() {
        [] => Server::shared()?,
        [folder, seconds] => {
            let grace = Duration::from_secs(seconds.parse().context("`seconds` is a whole number")?);
            named = Server::shared_in(Path::new(folder), grace)?;
            &named
        }
        _ => bail!("usage: scratch-postgres [folder seconds]"),
    };
    writeln!(std::io::stdout(), "{}", server.url("postgres"))?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
