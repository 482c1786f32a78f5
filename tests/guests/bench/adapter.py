"""The benchmark's adapter in Python. What it does is told in `src/lib.rs`."""

import json

from wit_world import exports
from wit_world.exports.info import Description
from wit_world.exports.labels import LabelledParcel, Shipment, Voided
from wit_world.exports.rates import RateAnswer, RateOffer
from wit_world.imports import outgoing, wall
from wit_world.imports.types import Document, Money

BYTES = 20 << 10
END = "^XZ"


def printed(options):
    """The label, and the order with its sums."""
    order = json.loads(next(value for name, value in options if name == "order"))
    order["weight_g"] = sum(line["quantity"] * line["weight_g"] for line in order["lines"])
    order["value_cents"] = sum(line["quantity"] * line["price_cents"] for line in order["lines"])
    to = order["ship_to"]
    head = (
        f"^XA^FO20,20^FD{to['name']}^FS^FO20,60^FD{to['street']}^FS^FO20,100^FD{to['postal_code']} {to['city']}^FS"
        f"^FO20,140^FD{order['weight_g']} g^FS^FO20,200^GFA,"
    )
    label = head + "0" * (BYTES - len(head) - len(END)) + END
    return label, json.dumps(order, separators=(",", ":"))


class Info(exports.Info):
    def describe(self):
        return Description("", [], [], True, [], [])


class Rates(exports.Rates):
    def rate(self, context, request):
        label, order = printed(request.options)
        extensions = [("label", label), ("order", order)]
        offer = RateOffer("bench", "bench", Money("0", "EUR"), None, [], None, None, None, extensions)
        return RateAnswer([offer], [])


class Labels(exports.Labels):
    def create_shipment(self, context, request):
        label, order = printed(request.options)
        documents = [Document("label", "zpl", label.encode())]
        parcels = [LabelledParcel("1", "1", documents)]
        return Shipment(request.reference, "1", "1", parcels, [], None, None, [], None, [], [("order", order)])

    def find_by_reference(self, context, reference):
        outgoing.send(outgoing.Request("GET", f"{context.endpoint}/", [], None, []))
        return None

    def void(self, context, carrier_shipment_id):
        for _ in range(int(carrier_shipment_id)):
            wall.now_ms()
        return Voided(carrier_shipment_id, False)
