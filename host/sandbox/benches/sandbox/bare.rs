//! The baseline: wasmtime with nothing around it but what makes it fast.
//!
//! Tuned as well as the host's engine is: a pool with kept pages and the kernel's page map, no support for concurrent
//! component calls, exports looked up once. No limiter, no deadline, no budget, stacks that are not cleared, no thread of
//! its own; `epochs` alone says whether the code checks for a deadline.

use wasmtime::component::{Component, HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use crate::{Fallible, ORDER};

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit", "../../tests/guests/bench/world.wit"],
        world: "wharf:bench/bench",
        imports: {
            "wharf:clock/wall.now-ms": trappable,
            default: async | trappable,
        },
        exports: { default: async },
    });
}

use bindings::exports::wharf::adapter::info;
use bindings::exports::wharf::carrier::{labels, rates};
use bindings::wharf::clock::wall;
use bindings::wharf::http::outgoing;
use bindings::wharf::types::types;

pub(crate) struct Answers;

impl types::Host for Answers {}

impl wall::Host for Answers {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }
}

impl outgoing::Host for Answers {
    async fn send(
        &mut self,
        _request: outgoing::Request,
    ) -> wasmtime::Result<Result<outgoing::Response, types::Fault>> {
        Ok(Ok(outgoing::Response { status: 204, headers: Vec::new(), body: Vec::new() }))
    }
}

pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<Answers>,
    info: info::GuestIndices,
    rates: rates::GuestIndices,
    labels: labels::GuestIndices,
    context: types::CallContext,
    request: rates::RateRequest,
    shipment: labels::ShipmentRequest,
}

fn config(epochs: bool) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(16)
        .total_core_instances(1_000)
        .total_memories(64)
        .total_tables(256)
        .total_stacks(16)
        .max_memory_size(64 << 20)
        .max_memories_per_component(8)
        .max_tables_per_component(16)
        .max_core_instances_per_component(100)
        .table_elements(20_000);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(4 << 20).table_keep_resident(64 << 10);
    }
    let mut config = Config::new();
    config
        .epoch_interruption(epochs)
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

impl Bare {
    pub(crate) fn new(adapter: &[u8], epochs: bool) -> Fallible<Self> {
        let engine = Engine::new(&config(epochs))?;
        let component = Component::from_binary(&engine, adapter)?;
        let mut linker: Linker<Answers> = Linker::new(&engine);
        types::add_to_linker::<_, HasSelf<_>>(&mut linker, |answers| answers)?;
        wall::add_to_linker::<_, HasSelf<_>>(&mut linker, |answers| answers)?;
        outgoing::add_to_linker::<_, HasSelf<_>>(&mut linker, |answers| answers)?;
        // The log of the Rust adapter's panics.
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self {
            info: info::GuestIndices::new(&pre)?,
            rates: rates::GuestIndices::new(&pre)?,
            labels: labels::GuestIndices::new(&pre)?,
            engine,
            pre,
            context: context(),
            request: rate_request(),
            shipment: shipment_request(),
        })
    }

    /// A fresh instance in a fresh store.
    pub(crate) async fn instance(&self) -> Fallible<(Store<Answers>, Instance)> {
        let mut store = Store::new(&self.engine, Answers);
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }

    pub(crate) async fn empty(&self) -> Fallible<()> {
        let (mut store, instance) = self.instance().await?;
        let guest = self.info.load(&mut store, &instance)?;
        guest.call_describe(&mut store).await?;
        Ok(())
    }

    pub(crate) async fn ship(&self) -> Fallible<()> {
        let (mut store, instance) = self.instance().await?;
        let guest = self.rates.load(&mut store, &instance)?;
        let answer = guest.call_rate(&mut store, &self.context, &self.request).await?;
        if answer.is_ok_and(|answer| answer.rates.len() == 1) { Ok(()) } else { Err("no label".into()) }
    }

    pub(crate) async fn ship_document(&self) -> Fallible<()> {
        let (mut store, instance) = self.instance().await?;
        let guest = self.labels.load(&mut store, &instance)?;
        let answer = guest.call_create_shipment(&mut store, &self.context, &self.shipment).await?;
        if answer.is_ok_and(|answer| answer.parcels.len() == 1) { Ok(()) } else { Err("no label".into()) }
    }

    /// One call that asks the host for the time so often.
    pub(crate) async fn host_calls(&self, times: &str) -> Fallible<()> {
        let (mut store, instance) = self.instance().await?;
        let guest = self.labels.load(&mut store, &instance)?;
        guest.call_void(&mut store, &self.context, times).await?.map_err(|fault| fault.code)?;
        Ok(())
    }
}

fn context() -> types::CallContext {
    types::CallContext {
        tenant: "bench".to_owned(),
        connection: "bench".to_owned(),
        environment: "test".to_owned(),
        endpoint: "http://partner.test".to_owned(),
        config: Vec::new(),
        idempotency_key: "offline".to_owned(),
        attempt: 1,
        deadline_ms: 0,
    }
}

fn address() -> types::Address {
    types::Address {
        name: "Erika Mustermann".to_owned(),
        company: None,
        address_lines: vec!["Lindenallee 7".to_owned()],
        locality: "Leipzig".to_owned(),
        region: None,
        postal_code: Some("04109".to_owned()),
        country: "DE".to_owned(),
        residential: None,
        email: None,
        phone: None,
    }
}

fn parcel() -> types::Parcel {
    types::Parcel {
        reference: "1".to_owned(),
        weight_g: 1_200,
        length_mm: None,
        width_mm: None,
        height_mm: None,
        packaging: None,
        declared_value: None,
    }
}

fn options() -> Vec<(String, String)> {
    vec![("order".to_owned(), ORDER.to_owned())]
}

fn rate_request() -> rates::RateRequest {
    rates::RateRequest {
        ship_from: address(),
        ship_to: address(),
        parcels: vec![parcel()],
        services: Vec::new(),
        ship_date: None,
        options: options(),
    }
}

fn shipment_request() -> labels::ShipmentRequest {
    labels::ShipmentRequest {
        reference: "S00042-1".to_owned(),
        service: "bench".to_owned(),
        ship_from: address(),
        ship_to: address(),
        parcels: vec![parcel()],
        label: labels::LabelSpec { format: "zpl".to_owned(), width_mm: 102, height_mm: 152 },
        order_number: None,
        options: options(),
    }
}
