//! `wharf:carrier@0.1`: one file for the calls, one for the shapes.

pub(crate) mod convert;

use serde::Deserialize;
use serde_json::Value;
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::Fault;
use wharf_domain::rate::{RateAnswer, RateRequest};
use wharf_domain::shipment::{Shipment, ShipmentRequest, Voided};
use wharf_domain::tracking::TrackResult;

use crate::bindings::exports::wharf::carrier::{labels, tracking};
use crate::call::Trail;
use crate::roles::{Connection, input, output};

type Answer<T> = (Result<T, Fault>, Trail);

pub(crate) async fn rate(connection: &Connection, ctx: &CallCtx, request: &RateRequest) -> Answer<RateAnswer> {
    let indices = match connection.role(|roles| &roles.rates, "wharf:carrier/rates") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let given = Box::new((connection.context(ctx), convert::rate_request(request)));
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let (guest, (context, request)) = (indices.load(&mut *store, instance)?, &*given);
                guest.call_rate(&mut *store, context, request).await
            })
        })
        .await;
    connection.settled(canonical(result, convert::rate_answer), trail).await
}

pub(crate) async fn create(connection: &Connection, ctx: &CallCtx, request: &ShipmentRequest) -> Answer<Shipment> {
    let indices = match connection.role(|roles| &roles.labels, "wharf:carrier/labels") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let given = Box::new((connection.context(ctx), convert::shipment_request(request)));
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let (guest, (context, request)) = (indices.load(&mut *store, instance)?, &*given);
                guest.call_create_shipment(&mut *store, context, request).await
            })
        })
        .await;
    connection.settled(canonical(result, convert::shipment), trail).await
}

pub(crate) async fn find(connection: &Connection, ctx: &CallCtx, reference: &str) -> Answer<Option<Shipment>> {
    let indices = match connection.role(|roles| &roles.labels, "wharf:carrier/labels") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let given = Box::new((connection.context(ctx), reference.to_owned()));
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let (guest, (context, reference)) = (indices.load(&mut *store, instance)?, &*given);
                guest.call_find_by_reference(&mut *store, context, reference).await
            })
        })
        .await;
    connection.settled(canonical(result, |s| s.map(convert::shipment).transpose()), trail).await
}

pub(crate) async fn void(connection: &Connection, ctx: &CallCtx, id: &str) -> Answer<Voided> {
    let indices = match connection.role(|roles| &roles.labels, "wharf:carrier/labels") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let given = Box::new((connection.context(ctx), id.to_owned()));
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let (guest, (context, id)) = (indices.load(&mut *store, instance)?, &*given);
                guest.call_void(&mut *store, context, id).await
            })
        })
        .await;
    let voided = |v: labels::Voided| Ok(Voided { carrier_shipment_id: v.carrier_shipment_id, already: v.already });
    connection.settled(canonical(result, voided), trail).await
}

pub(crate) async fn track(connection: &Connection, ctx: &CallCtx, numbers: &[String]) -> Answer<Vec<TrackResult>> {
    let indices = match connection.role(|roles| &roles.tracking, "wharf:carrier/tracking") {
        Ok(indices) => indices,
        Err(fault) => return (Err(fault), Trail::empty()),
    };
    let given = Box::new((connection.context(ctx), numbers.to_vec()));
    let (result, trail) = connection
        .enter(ctx, move |store, instance| {
            Box::pin(async move {
                let (guest, (context, numbers)) = (indices.load(&mut *store, instance)?, &*given);
                guest.call_track(&mut *store, context, numbers).await
            })
        })
        .await;

    let all = |r: Vec<tracking::TrackResult>| Ok(r.into_iter().map(convert::track_result).collect());
    connection.settled(canonical(result, all), trail).await
}

/// Guest result to canonical result: a guest's fault and a result that breaks the contract both become faults.
fn canonical<W, T>(
    result: Result<Result<W, convert::WitFault>, Fault>,
    shape: impl FnOnce(W) -> Result<T, Fault>,
) -> Result<T, Fault> {
    result?.map_err(convert::fault).and_then(shape)
}

pub(crate) async fn rate_json(connection: &Connection, ctx: &CallCtx, value: Value) -> Answer<Value> {
    match input::<RateRequest>(value) {
        Ok(request) => json(rate(connection, ctx, &request).await),
        Err(fault) => (Err(fault), Trail::empty()),
    }
}

pub(crate) async fn create_json(connection: &Connection, ctx: &CallCtx, value: Value) -> Answer<Value> {
    match input::<ShipmentRequest>(value) {
        Ok(request) => json(create(connection, ctx, &request).await),
        Err(fault) => (Err(fault), Trail::empty()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindInput {
    reference: String,
}

pub(crate) async fn find_json(connection: &Connection, ctx: &CallCtx, value: Value) -> Answer<Value> {
    match input::<FindInput>(value) {
        Ok(given) => json(find(connection, ctx, &given.reference).await),
        Err(fault) => (Err(fault), Trail::empty()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoidInput {
    carrier_shipment_id: String,
}

pub(crate) async fn void_json(connection: &Connection, ctx: &CallCtx, value: Value) -> Answer<Value> {
    match input::<VoidInput>(value) {
        Ok(given) => json(void(connection, ctx, &given.carrier_shipment_id).await),
        Err(fault) => (Err(fault), Trail::empty()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrackInput {
    numbers: Vec<String>,
}

pub(crate) async fn track_json(connection: &Connection, ctx: &CallCtx, value: Value) -> Answer<Value> {
    match input::<TrackInput>(value) {
        Ok(given) => json(track(connection, ctx, &given.numbers).await),
        Err(fault) => (Err(fault), Trail::empty()),
    }
}

fn json<T: serde::Serialize>((result, trail): Answer<T>) -> Answer<Value> {
    (result.and_then(|v| output(&v)), trail)
}
