//! `wharf:adapter/info`: who the adapter is.

use serde_json::{Value, json};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;

use super::Connection;
use crate::call::Trail;

pub(crate) async fn describe_json(connection: &Connection, ctx: &CallCtx) -> (Result<Value, Fault>, Trail) {
    let indices = match connection.role(|roles| &roles.info, "wharf:adapter/info") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let guest = indices.load(&mut *store, instance)?;
                guest.call_describe(&mut *store).await
            })
        })
        .await;
    let result = result.map(|d| {
        json!({
            "name": d.name,
            "services": d.services.iter().map(|s| json!({"code": s.code, "name": s.name})).collect::<Vec<_>>(),
            "label_formats": d.label_formats,
            "test_environment": d.test_environment,
            "limits": d.limits,
            "extensions": d.extensions,
        })
    });
    (result, trail)
}
