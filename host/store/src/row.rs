//! Reading columns into typed values. A value this version cannot read is an error that names the column.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use wharf_domain::ids::{FlowKey, JobId, TenantId};
use wharf_domain::time::Timestamp;

use crate::error::StoreError;
use crate::sql::Row;

/// One row, read by column name.
pub(crate) struct Cols<'r>(pub(crate) &'r Row);

macro_rules! get {
    ($cols:expr, $column:expr, $type:ty) => {
        match $cols.0 {
            Row::Sqlite(row) => row.try_get::<$type, _>($column),
            Row::Postgres(row) => row.try_get::<$type, _>($column),
        }
    };
}

impl Cols<'_> {
    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(get!(self, column, String)?)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(get!(self, column, Option<String>)?)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        Ok(get!(self, column, Vec<u8>)?)
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(get!(self, column, i64)?)
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(get!(self, column, Option<i64>)?)
    }

    /// By place and not by name, for code that does not know the columns.
    pub(crate) fn int_at(&self, index: usize) -> Result<Option<i64>, StoreError> {
        Ok(get!(self, index, Option<i64>)?)
    }

    pub(crate) fn text_at(&self, index: usize) -> Result<Option<String>, StoreError> {
        Ok(get!(self, index, Option<String>)?)
    }

    pub(crate) fn bytes_at(&self, index: usize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(get!(self, index, Option<Vec<u8>>)?)
    }

    /// A count: never negative.
    pub(crate) fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        let value = self.int(column)?;
        T::try_from(value).map_err(|_| StoreError::Decode { column, reason: format!("`{value}` is out of range") })
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(crate) fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(get!(self, column, Option<i64>)?.map(Timestamp::from_millis))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        from_json(column, &self.text(column)?)
    }

    pub(crate) fn opt_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.opt_text(column)?.map(|text| from_json(column, &text)).transpose()
    }

    /// A text with a form of its own: an id, a state.
    pub(crate) fn parse<T, E: std::fmt::Display>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        parse(&self.text(column)?).map_err(|err| StoreError::Decode { column, reason: err.to_string() })
    }

    pub(crate) fn tenant(&self) -> Result<TenantId, StoreError> {
        self.parse("tenant", |text| TenantId::parse(text))
    }

    pub(crate) fn job(&self, column: &'static str) -> Result<JobId, StoreError> {
        self.parse(column, JobId::parse)
    }

    pub(crate) fn flow(&self) -> Result<Option<FlowKey>, StoreError> {
        Ok(self.opt_text("flow")?.map(FlowKey::from_text))
    }

    /// A unit variant stored by its serde name.
    pub(crate) fn name<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_value(serde_json::Value::String(self.text(column)?))
            .map_err(|err| StoreError::Decode { column, reason: err.to_string() })
    }
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|err| StoreError::Decode { column, reason: err.to_string() })
}

/// JSON text of a value, for a TEXT column.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    Ok(serde_json::to_string(value)?)
}

pub(crate) fn opt_json<T: Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(json).transpose()
}

/// The serde name of a unit variant, e.g. `critical`.
pub(crate) fn name<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(text) => Ok(text),
        other => Err(StoreError::Decode { column: "name", reason: format!("`{other}` is not a plain name") }),
    }
}
