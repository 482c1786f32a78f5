//! What an operator gives beside the manifest, compared.

use super::{Lines, Weight, domain};
use crate::surface::Surface;

pub(super) fn given(lines: &mut Lines, old: &Surface, new: &Surface) {
    if new.allow_private && !old.allow_private {
        let means = "requests may go to machines of the own network";
        lines.add(Weight::WiderHigh, "new destination", "private addresses", means);
    }
    for company in new.companies.iter().filter(|company| !old.companies.contains(company)) {
        let means = "what is granted of Odoo is granted in this company, too";
        lines.add(Weight::WiderHigh, "new data read", format!("company {company} of Odoo"), means);
    }
    if new.writes_per_hour > old.writes_per_hour {
        let what = format!("{} records of Odoo an hour, {} before", new.writes_per_hour, old.writes_per_hour);
        lines.add(Weight::WiderLow, "wider limits", what, "it creates or changes more of them");
    }
    for request in &new.manifest.odoo {
        if old.manifest.odoo.iter().any(|before| before.model == request.model) {
            let of = |surface: &Surface| surface.narrowed.get(&request.model).cloned();
            domain(lines, &request.model, of(old).as_deref(), of(new).as_deref());
        }
    }
}
