//! A carrier that only says it is one: it claims to have bought without having asked anybody.

use wharf_sdk::labels::{Guest, Shipment, ShipmentRequest, Voided};
use wharf_sdk::{CallContext, Fault};

use crate::Rogue;

impl Guest for Rogue {
    fn create_shipment(_: CallContext, request: ShipmentRequest) -> Result<Shipment, Fault> {
        Ok(Shipment {
            reference: request.reference,
            carrier_shipment_id: "made-up".to_owned(),
            tracking_number: "1Z0000000000000000".to_owned(),
            parcels: vec![],
            documents: vec![],
            total: None,
            list_total: None,
            charges: vec![],
            billed_weight_g: None,
            messages: vec![],
            extensions: vec![],
        })
    }

    fn find_by_reference(_: CallContext, _reference: String) -> Result<Option<Shipment>, Fault> {
        Ok(None)
    }

    fn void(_: CallContext, carrier_shipment_id: String) -> Result<Voided, Fault> {
        Ok(Voided { carrier_shipment_id, already: false })
    }
}
