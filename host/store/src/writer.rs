//! The one writer of a SQLite file, and its group commit.
//!
//! Transactions take turns on one connection, first come, first served. A turn that ends well does not commit by
//! itself: it joins the open group and stands in line once more. Whoever waited before it takes a turn first and joins
//! the same group; the first member that is served again commits for all of them. So one write to the disk serves as
//! many transactions as were waiting, a lone transaction commits at once, and nobody hears of success before its change
//! is on disk.
//!
//! While another program holds the file locked, a turn waits as long as SQLite does and no longer because others waited
//! before it: whoever has waited that long in line is refused at once when one of those found the file locked.
//!
//! A turn that is given up takes back its own part only (a savepoint). When the group itself cannot be committed, every
//! member is told so and nothing of it is there.

use std::sync::Arc;
use std::time::Instant;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::connect::BUSY_TIMEOUT;
use crate::error::StoreError;
use crate::sql::Conn;

/// Everybody's way to the writing connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Mutex<Seat>>);

struct Seat {
    /// Absent after [`Writer::close`].
    conn: Option<SqliteConnection>,
    /// Members of the open transaction that wait for its commit; `None` when no transaction is open.
    group: Option<Vec<oneshot::Sender<Result<(), StoreError>>>>,
    unfinished: Unfinished,
    /// When the file was last found locked by another program for as long as SQLite waits.
    locked: Option<Instant>,
}

/// What the last one in the seat left half done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    Nothing,
    /// The whole transaction is one turn's that was given up.
    Transaction,
    /// A savepoint within a group.
    Savepoint,
    /// A commit that nobody saw the end of.
    Commit,
}

/// One transaction's time on the connection. Dropped without [`Turn::commit`], it leaves nothing behind.
pub(crate) struct Turn {
    seat: OwnedMutexGuard<Seat>,
    writer: Writer,
    /// What is to be undone should it be dropped.
    undo: Unfinished,
}

impl Writer {
    pub(crate) fn new(conn: SqliteConnection) -> Self {
        let seat = Seat { conn: Some(conn), group: None, unfinished: Unfinished::Nothing, locked: None };
        Self(Arc::new(Mutex::new(seat)))
    }

    /// Waits for the connection and begins.
    pub(crate) async fn turn(&self) -> Result<Turn, StoreError> {
        let asked = Instant::now();
        let mut seat = Arc::clone(&self.0).lock_owned().await;
        seat.tidy().await?;
        let undo = if seat.group.is_none() {
            seat.begin(asked).await?;
            seat.group = Some(Vec::new());
            Unfinished::Transaction
        } else {
            seat.unfinished = Unfinished::Savepoint;
            seat.run("SAVEPOINT turn").await?;
            Unfinished::Savepoint
        };
        seat.unfinished = Unfinished::Nothing;
        Ok(Turn { seat, writer: self.clone(), undo })
    }

    /// Statistics for the planner, and the write-ahead log folded into the file.
    pub(crate) async fn tidy_file(&self) -> Result<(), StoreError> {
        let mut seat = self.0.lock().await;
        seat.tidy().await?;
        if seat.group.is_some() {
            seat.commit_group().await;
        }
        seat.run("ANALYZE").await?;
        seat.run("PRAGMA wal_checkpoint(TRUNCATE)").await
    }

    /// Ends what is open and closes the connection; later turns fail.
    pub(crate) async fn close(&self) {
        let mut seat = self.0.lock().await;
        if seat.tidy().await.is_ok() && seat.group.is_some() {
            seat.commit_group().await;
        }
        if let Some(conn) = seat.conn.take()
            && let Err(err) = conn.close().await
        {
            tracing::warn!("failed to close the database: {err}");
        }
    }
}

impl Turn {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        self.seat.conn.as_mut().map_or(Conn::Closed, Conn::Sqlite)
    }

    /// Returns when the change is on disk.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.undo == Unfinished::Savepoint {
            self.seat.run("RELEASE turn").await?;
        }
        let (told, mut heard) = oneshot::channel();
        self.seat.group.get_or_insert_default().push(told);
        self.undo = Unfinished::Nothing;
        let writer = self.writer.clone();
        drop(self);

        let mut seat = writer.0.lock().await;
        if let Some(result) = ended(&mut heard) {
            return result;
        }
        seat.tidy().await?;
        if let Some(result) = ended(&mut heard) {
            return result;
        }
        seat.commit_group().await;
        ended(&mut heard).unwrap_or(Err(StoreError::InDoubt))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.undo != Unfinished::Nothing {
            self.seat.unfinished = self.undo;
        }
    }
}

/// How the group ended; `None` while it has not.
fn ended(heard: &mut oneshot::Receiver<Result<(), StoreError>>) -> Option<Result<(), StoreError>> {
    match heard.try_recv() {
        Ok(result) => Some(result),
        Err(oneshot::error::TryRecvError::Empty) => None,
        Err(oneshot::error::TryRecvError::Closed) => Some(Err(StoreError::InDoubt)),
    }
}

impl Seat {
    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        let conn = self.conn.as_mut().ok_or(StoreError::Closed)?;
        conn.execute(sqlx::query(statement)).await?;
        Ok(())
    }

    /// Begins a transaction for one that stood in line since `asked`.
    async fn begin(&mut self, asked: Instant) -> Result<(), StoreError> {
        if self.locked.is_some_and(|at| asked < at) && asked.elapsed() >= BUSY_TIMEOUT {
            return Err(StoreError::FileBusy);
        }
        self.unfinished = Unfinished::Transaction;
        let begun = self.run("BEGIN IMMEDIATE").await;
        if matches!(begun, Err(StoreError::FileBusy)) {
            self.locked = Some(Instant::now());
        }
        begun
    }

    /// Undoes what was given up before.
    async fn tidy(&mut self) -> Result<(), StoreError> {
        match self.unfinished {
            Unfinished::Nothing => return Ok(()),
            Unfinished::Transaction => {
                // Fails when SQLite has rolled back by itself, or when it never began; either way none is open then.
                let _none_open = self.run("ROLLBACK").await;
                self.group = None;
            }
            Unfinished::Savepoint => {
                let undone = self.run("ROLLBACK TO turn").await;
                if undone.is_err() || self.run("RELEASE turn").await.is_err() {
                    self.look_again().await?;
                }
            }
            // Dropping the members tells them that nobody knows.
            Unfinished::Commit => {
                self.group = None;
                let _none_open = self.run("ROLLBACK").await;
            }
        }
        self.unfinished = Unfinished::Nothing;
        Ok(())
    }

    /// There is no savepoint to go back to. Either it was never made, or SQLite rolled everything back by itself, as it
    /// may when the disk is full; then the members have lost their changes.
    async fn look_again(&mut self) -> Result<(), StoreError> {
        if self.run("BEGIN IMMEDIATE").await.is_err() {
            // Still in the transaction.
            return Ok(());
        }
        for member in self.group.take().unwrap_or_default() {
            let _gone = member.send(Err(StoreError::RolledBack));
        }
        self.run("ROLLBACK").await
    }

    async fn commit_group(&mut self) {
        self.unfinished = Unfinished::Commit;
        let committed = self.run("COMMIT").await;
        self.unfinished = Unfinished::Nothing;
        let members = self.group.take().unwrap_or_default();
        let full = matches!(committed, Err(StoreError::Full));
        if let Err(err) = &committed {
            tracing::error!("failed to commit {} transactions: {err}", members.len());
            let _none_open = self.run("ROLLBACK").await;
        }
        for member in members {
            let result = match &committed {
                Ok(()) => Ok(()),
                Err(_) if full => Err(StoreError::Full),
                Err(_) => Err(StoreError::RolledBack),
            };
            // A member that went away never heard that it succeeded, and need not.
            let _gone = member.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
