//! `wharf:files`: drop folders. Granted folder by folder, apart for reading, leaving files and keeping an archive; a
//! guest knows a folder by its name and a file by one component. This file only translates and counts.

use wharf_domain::fault::{Blame, Fault, FaultKind};

use crate::bindings::wharf::files::folder;
use crate::bindings::wharf::types::types as wit;
use crate::caps::fault_to_wit;
use crate::folder::{FolderAnswer, FolderAsk, FolderFile, FolderScope};
use crate::guest::CallState;
use crate::notes::What;

impl CallState {
    /// The folder of that name, if it was granted.
    fn folder_scope(&self, name: &str) -> Result<FolderScope, Fault> {
        let granted = self.capabilities.folders.iter().find(|folder| folder.name == name);
        let Some(grant) = granted else {
            let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
            let text = format!(
                "folder `{shown}` is not granted; it would need `[[folders]] name = \"{shown}\"` in the manifest and `folders.{shown}` at the connection"
            );
            return Err(Fault::new(FaultKind::Forbidden, "files.not-granted", text, Blame::Guest));
        };
        Ok(FolderScope {
            tenant: self.ctx.tenant.clone(),
            connection: self.grant.connection.clone(),
            grant: grant.clone(),
        })
    }

    async fn folder(&mut self, name: &str, ask: FolderAsk) -> Result<FolderAnswer, Fault> {
        let handed = if let FolderAsk::Put { content, .. } = &ask { content.len() } else { 0 };
        self.take_in(handed).await?;
        let answer = match self.folder_scope(name) {
            Ok(scope) => self.place.outside(self.services.folder(&scope, ask)).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &answer
            && fault.kind == FaultKind::Forbidden
            && let Some(rule) = fault.code.strip_prefix("files.")
        {
            // The folder's name may be the guest's own text.
            self.note(What::Denied { capability: "files", rule: rule.to_owned(), target: String::new() }).await;
        }
        answer
    }
}

fn entry(file: FolderFile) -> folder::Entry {
    folder::Entry {
        name: file.name,
        size_bytes: file.size,
        changed_ms: u64::try_from(file.changed.millis()).unwrap_or_default(),
        ready: file.ready,
    }
}

/// The services answer what they were asked for.
fn unexpected() -> Fault {
    Fault::new(FaultKind::Unsupported, "files.answer", "the answer is of another kind", Blame::Host)
}

type Answer<T> = wasmtime::Result<Result<T, wit::Fault>>;

impl folder::Host for CallState {
    async fn waiting(&mut self, name: String, after: Option<String>) -> Answer<folder::Page> {
        self.enter_host()?;
        Ok(match self.folder(&name, FolderAsk::Waiting { after }).await {
            Ok(FolderAnswer::Files(files, next)) => {
                Ok(folder::Page { entries: files.into_iter().map(entry).collect(), next })
            }
            Ok(_) => Err(fault_to_wit(unexpected())),
            Err(fault) => Err(fault_to_wit(fault)),
        })
    }

    async fn held(&mut self, name: String) -> Answer<Vec<folder::Entry>> {
        self.enter_host()?;
        Ok(match self.folder(&name, FolderAsk::Held).await {
            Ok(FolderAnswer::Files(files, _)) => Ok(files.into_iter().map(entry).collect()),
            Ok(_) => Err(fault_to_wit(unexpected())),
            Err(fault) => Err(fault_to_wit(fault)),
        })
    }

    async fn claim(&mut self, name: String, file: String) -> Answer<Option<folder::Entry>> {
        self.enter_host()?;
        Ok(match self.folder(&name, FolderAsk::Claim { name: file }).await {
            Ok(FolderAnswer::Claimed(file)) => Ok(file.map(entry)),
            Ok(_) => Err(fault_to_wit(unexpected())),
            Err(fault) => Err(fault_to_wit(fault)),
        })
    }

    async fn read(&mut self, name: String, file: String, offset: u64, length: u32) -> Answer<Vec<u8>> {
        self.enter_host()?;
        Ok(match self.folder(&name, FolderAsk::Read { name: file, offset, length }).await {
            Ok(FolderAnswer::Bytes(bytes)) => Ok(bytes),
            Ok(_) => Err(fault_to_wit(unexpected())),
            Err(fault) => Err(fault_to_wit(fault)),
        })
    }

    async fn finish(&mut self, name: String, file: String) -> Answer<()> {
        self.enter_host()?;
        let answer = self.folder(&name, FolderAsk::Finish { name: file }).await;
        Ok(answer.map(|_| ()).map_err(fault_to_wit))
    }

    async fn reject(&mut self, name: String, file: String, reason: String) -> Answer<()> {
        self.enter_host()?;
        let answer = self.folder(&name, FolderAsk::Reject { name: file, reason }).await;
        Ok(answer.map(|_| ()).map_err(fault_to_wit))
    }

    async fn put(&mut self, name: String, file: String, content: Vec<u8>) -> Answer<()> {
        self.enter_host()?;
        let answer = self.folder(&name, FolderAsk::Put { name: file, content: content.into() }).await;
        Ok(answer.map(|_| ()).map_err(fault_to_wit))
    }
}
