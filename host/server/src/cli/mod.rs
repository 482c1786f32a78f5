//! Commands, one file each. The doc comment of an argument is its help text.
//!
//! Exit codes: 0 done · 1 failed · 2 wrong use, which includes asking the host for what does not exist · 3 the adapter
//! answered with a fault.

mod adapter_build;
mod adapter_call;
mod adapter_diff;
mod adapter_inspect;
mod adapter_trial;
mod api_client;
mod backup;
mod compile_adapter;
mod doctor;
mod effects_decide;
mod effects_list;
mod effects_show;
mod grant_decide;
mod grant_list;
mod grant_show;
mod jobs_cancel;
mod jobs_list;
mod jobs_replay;
mod jobs_show;
mod migrate;
mod odoo_setup;
mod offline;
mod restore;
mod sarif;
mod secret_list;
mod secret_move;
mod secret_set;
mod serve;
mod status;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::{self, LogFormat};

pub(crate) const FAILED: u8 = 1;
pub(crate) const WRONG_USE: u8 = 2;
pub(crate) const FAULT: u8 = 3;

/// A plugin host for logistics adapters around Odoo.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged, e.g. `info` or `warn,wharf_egress=debug`
    #[arg(long, global = true)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the host
    Serve(serve::Args),
    /// Brings the database to this version's schema
    Migrate(migrate::Args),
    /// Saves the whole database in one file, while the host runs
    Backup(backup::Args),
    /// Puts a backup into an empty database, of the same kind or the other
    Restore(restore::Args),
    /// Checks configuration, secrets, database, adapters and Odoo, and says what to mend
    Doctor(doctor::Args),
    /// Shows what waits, what was given up, and for how long
    Status(status::Args),
    /// Looks at jobs and moves them
    #[command(subcommand)]
    Jobs(Jobs),
    /// Looks at outside changes nobody knows the outcome of, and decides about them
    #[command(subcommand)]
    Effects(Effects),
    /// Hands secrets in and moves their versions; nothing ever shows one
    #[command(subcommand)]
    Secret(Secret),
    /// Looks at what connections may do, and decides about what waits
    #[command(subcommand)]
    Grant(Grant),
    /// Works on adapter files, offline
    #[command(subcommand)]
    Adapter(Adapter),
    /// Prepares an Odoo
    #[command(subcommand)]
    Odoo(Odoo),
    /// The process in which the host compiles an adapter
    #[command(hide = true)]
    CompileAdapter(compile_adapter::Args),
}

#[derive(Debug, Subcommand)]
enum Adapter {
    /// Builds an adapter from its folder into one file
    Build(adapter_build::Args),
    /// Shows what an adapter file can do
    Inspect(adapter_inspect::Args),
    /// Shows what a new version can do that the old one could not
    Diff(adapter_diff::Args),
    /// Runs one operation of an adapter file
    Call(adapter_call::Args),
    /// Runs an adapter's examples against recordings, to see what it really asks for
    Trial(adapter_trial::Args),
}

#[derive(Debug, Subcommand)]
enum Jobs {
    /// Lists a tenant's jobs, newest first
    List(jobs_list::Args),
    /// Shows one job with its attempts and what it changed outside
    Show(jobs_show::Args),
    /// Gives parked jobs another go: one, or all that fit
    Replay(jobs_replay::Args),
    /// Gives up on a job that waits or is parked
    Cancel(jobs_cancel::Args),
}

#[derive(Debug, Subcommand)]
enum Effects {
    /// Lists what is in doubt, the longest in doubt first
    List(effects_list::Args),
    /// Shows one effect with everything that was learnt about it
    Show(effects_show::Args),
    /// It happened: you found it at the partner
    Happened(effects_decide::Happened),
    /// It did not happen: send it again, above the configured worth once somebody else has approved
    Resend(effects_decide::About),
    /// Approves a second send that somebody else asked for
    Approve(effects_decide::About),
    /// Gives it up: it is not sent again and not looked for
    Abandon(effects_decide::About),
    /// Another effect undid it
    Compensate(effects_decide::Compensated),
}

#[derive(Debug, Subcommand)]
enum Secret {
    /// Lists a tenant's secrets: versions, ages and last uses, never values
    List(secret_list::Args),
    /// Hands a value in, from files or standard input; it is used at once, or laid by as the next one
    Set(secret_set::Args),
    /// Uses the value that was laid by; the one before stays usable for a while
    Promote(secret_move::Promotion),
    /// Forgets a secret; from then on the configuration's value counts, if there is one
    Delete(secret_move::About),
    /// Destroys a tenant's key: nothing that was sealed for it opens again, also not from a backup without the key
    Shred(secret_move::Shredding),
    /// Wraps the tenants' keys with the present `vault.key` where `vault.old_key` still does; may be broken off and repeated
    Rekey(secret_move::Rekeying),
}

#[derive(Debug, Subcommand)]
enum Grant {
    /// Lists connections: what is in force, and what waits
    List(grant_list::Args),
    /// Shows what a connection may do, and what a version changes
    Show(grant_show::Args),
    /// Accepts a version that asks for more; running hosts go on with it
    Accept(grant_decide::Args),
    /// Refuses a version; what was accepted before goes on
    Refuse(grant_decide::Args),
}

#[derive(Debug, Subcommand)]
enum Odoo {
    /// Creates the outbox, its rules and the bot user in a tenant's Odoo
    Setup(odoo_setup::Args),
}

/// Why a command failed, with its exit code.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: FAILED, error: error.into() }
    }
}

pub(crate) type Outcome = Result<u8, Failure>;

/// A failure of the person who typed the command.
pub(crate) fn wrong_use(error: impl Into<anyhow::Error>) -> Failure {
    Failure { code: WRONG_USE, error: error.into() }
}

pub(crate) fn run(cli: Cli) -> ExitCode {
    let quiet = !matches!(cli.command, Command::Serve(_));
    let filter = cli.log.as_deref().unwrap_or(if quiet { "error" } else { "info" });
    if let Err(e) = telemetry::start(cli.log_format, filter) {
        return complain(&wrong_use(e.context("`--log` is not a filter")));
    }
    let outcome = match cli.command {
        Command::Serve(args) => on_runtime(serve::run(args)),
        Command::Migrate(args) => on_runtime(migrate::run(args)),
        Command::Backup(args) => on_runtime(backup::run(args)),
        Command::Restore(args) => on_runtime(restore::run(args)),
        Command::Doctor(args) => on_runtime(doctor::run(args)),
        Command::Status(args) => status::run(&args),
        Command::Jobs(Jobs::List(args)) => jobs_list::run(&args),
        Command::Jobs(Jobs::Show(args)) => jobs_show::run(&args),
        Command::Jobs(Jobs::Replay(args)) => jobs_replay::run(&args),
        Command::Jobs(Jobs::Cancel(args)) => jobs_cancel::run(&args),
        Command::Effects(Effects::List(args)) => effects_list::run(&args),
        Command::Effects(Effects::Show(args)) => effects_show::run(&args),
        Command::Effects(Effects::Happened(args)) => effects_decide::happened(&args),
        Command::Effects(Effects::Resend(args)) => effects_decide::resend(&args),
        Command::Effects(Effects::Approve(args)) => effects_decide::approve(&args),
        Command::Effects(Effects::Abandon(args)) => effects_decide::abandon(&args),
        Command::Effects(Effects::Compensate(args)) => effects_decide::compensate(&args),
        Command::Secret(Secret::List(args)) => secret_list::run(&args),
        Command::Secret(Secret::Set(args)) => secret_set::run(&args),
        Command::Secret(Secret::Promote(args)) => secret_move::promote(&args),
        Command::Secret(Secret::Delete(args)) => secret_move::delete(&args),
        Command::Secret(Secret::Shred(args)) => secret_move::shred(&args),
        Command::Secret(Secret::Rekey(args)) => secret_move::rekey(&args),
        Command::Grant(Grant::List(args)) => grant_list::run(&args),
        Command::Grant(Grant::Show(args)) => grant_show::run(&args),
        Command::Grant(Grant::Accept(args)) => grant_decide::accept(&args),
        Command::Grant(Grant::Refuse(args)) => grant_decide::refuse(&args),
        Command::Adapter(Adapter::Build(args)) => adapter_build::run(&args),
        Command::Adapter(Adapter::Inspect(args)) => adapter_inspect::run(&args),
        Command::Adapter(Adapter::Diff(args)) => adapter_diff::run(&args),
        Command::Adapter(Adapter::Call(args)) => on_runtime(adapter_call::run(args)),
        Command::Adapter(Adapter::Trial(args)) => on_runtime(adapter_trial::run(args)),
        Command::CompileAdapter(args) => compile_adapter::run(&args),
        Command::Odoo(Odoo::Setup(args)) => on_runtime(odoo_setup::run(args)),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => complain(&failure),
    }
}

fn on_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}

fn complain(failure: &Failure) -> ExitCode {
    // A closed standard error is no reason to fail differently.
    let _ = writeln!(std::io::stderr(), "error: {:#}", failure.error);
    ExitCode::from(failure.code)
}

/// Prints a line of a command's result; a closed pipe ends the command quietly.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(|e| Failure { code: FAILED, error: e.into() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    /// Long help of every command, depth first.
    fn reference(command: &mut clap::Command, path: &str, out: &mut String) {
        out.push_str(&format!("## {path}\n\n{}\n", command.clone().term_width(100).render_long_help()));
        let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        for name in names {
            if let Some(sub) = command.find_subcommand_mut(&name) {
                reference(sub, &format!("{path} {name}"), out);
            }
        }
    }

    #[test]
    fn the_cli_reference_is_what_was_agreed() {
        let mut out = String::new();
        let mut command = Cli::command();
        command.build();
        reference(&mut command, "wharf", &mut out);
        insta::assert_snapshot!("cli-reference", out);
    }
}
