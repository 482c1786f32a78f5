//! The context of a call. The host builds it; an adapter chooses language, time zone and one of its companies.

use serde_json::{Map, Value, json};
use wharf_domain::grant::OdooAccess;
use wharf_domain::port::records::Options;

use super::denial::{Denial, shown};

/// Languages an adapter may ask for, by Odoo's codes. One that is not installed there is refused by Odoo.
const LANGUAGES: [&str; 33] = [
    "bg_BG", "cs_CZ", "da_DK", "de_CH", "de_DE", "el_GR", "en_GB", "en_US", "es_ES", "es_MX", "et_EE", "fi_FI",
    "fr_BE", "fr_CA", "fr_CH", "fr_FR", "hr_HR", "hu_HU", "it_IT", "ja_JP", "lt_LT", "lv_LV", "nb_NO", "nl_BE",
    "nl_NL", "pl_PL", "pt_BR", "pt_PT", "ro_RO", "sk_SK", "sl_SI", "sv_SE", "tr_TR",
];

/// What an adapter chose, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) companies: Vec<i64>,
    lang: Option<&'static str>,
    tz: Option<String>,
}

/// Reads the options of an ask.
pub(crate) fn chosen(access: &OdooAccess, options: &Options) -> Result<Chosen, Denial> {
    let mut out = Chosen { companies: access.companies.clone(), lang: None, tz: None };
    for (name, value) in options {
        match name.as_str() {
            "lang" => {
                let known = LANGUAGES.into_iter().find(|known| known == value);
                out.lang = Some(known.ok_or_else(|| refused("lang", value, "it is not among the host's languages"))?);
            }
            "tz" => {
                let known = jiff::tz::TimeZone::get(value).ok().and_then(|zone| zone.iana_name().map(str::to_owned));
                out.tz = Some(known.ok_or_else(|| refused("tz", value, "it is no IANA time zone"))?);
            }
            "company" => {
                let company = value.parse::<i64>().map_err(|_| refused("company", value, "it is no record id"))?;
                if !access.companies.contains(&company) {
                    return Err(Denial::Company { company });
                }
                out.companies = vec![company];
            }
            _ => return Err(Denial::Context { option: shown(name) }),
        }
    }
    Ok(out)
}

fn refused(option: &'static str, value: &str, why: &'static str) -> Denial {
    Denial::Option { option, value: shown(value), why }
}

impl Chosen {
    /// The context of a search or a write.
    pub(crate) fn context(&self) -> Value {
        let mut context = Map::new();
        context.insert("allowed_company_ids".to_owned(), json!(self.companies));
        if let Some(lang) = self.lang {
            context.insert("lang".to_owned(), json!(lang));
        }
        if let Some(tz) = &self.tz {
            context.insert("tz".to_owned(), json!(tz));
        }
        Value::Object(context)
    }

    /// New records go to one company, the first: Odoo takes it for the default.
    pub(crate) fn one_company(mut self) -> Self {
        self.companies.truncate(1);
        self
    }
}
