//! `wharf:odoo`: records of the tenant's Odoo. Granted model by model and field by field; the Odoo room decides, this
//! file only translates and counts.

use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::port::records::{Answer, Ask, Page, Search};

use crate::bindings::wharf::odoo::records;
use crate::bindings::wharf::types::types as wit;
use crate::caps::fault_to_wit;
use crate::guest::CallState;

type Options = Vec<(String, String)>;

impl records::Host for CallState {
    async fn search_read(&mut self, search: records::Search) -> wasmtime::Result<Result<records::Page, wit::Fault>> {
        self.enter_host()?;
        let records::Search { model, domain, fields, order, limit, offset, options } = search;
        let ask = Ask::SearchRead(Search { model, domain, fields, order, limit, offset, options });
        Ok(self.records(ask).await.and_then(page).map_err(fault_to_wit))
    }

    async fn read(
        &mut self,
        model: String,
        ids: Vec<i64>,
        fields: Vec<String>,
        options: Options,
    ) -> wasmtime::Result<Result<records::Page, wit::Fault>> {
        self.enter_host()?;
        let ask = Ask::Read { model, ids, fields, options };
        Ok(self.records(ask).await.and_then(page).map_err(fault_to_wit))
    }

    async fn create(
        &mut self,
        model: String,
        key: String,
        values: String,
        options: Options,
    ) -> wasmtime::Result<Result<i64, wit::Fault>> {
        self.enter_host()?;
        let answer = self.records(Ask::Create { model, key, values, options }).await;
        let id = answer.and_then(|answer| match answer {
            Answer::Created(id) => Ok(id),
            _ => Err(mixed_up()),
        });
        Ok(id.map_err(fault_to_wit))
    }

    async fn write(
        &mut self,
        model: String,
        ids: Vec<i64>,
        values: String,
        options: Options,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.enter_host()?;
        let answer = self.records(Ask::Write { model, ids, values, options }).await;
        Ok(answer.map(drop).map_err(fault_to_wit))
    }
}

fn page(answer: Answer) -> Result<records::Page, Fault> {
    match answer {
        Answer::Page(Page { records, more, cut }) => Ok(records::Page { records, more, cut }),
        _ => Err(mixed_up()),
    }
}

/// The port answered another question than was asked.
fn mixed_up() -> Fault {
    Fault::new(FaultKind::DataOutOfContract, "odoo.answer", "the answer belongs to another question", Blame::Host)
}
