"""The person at the other end of the demo: sells something in Odoo and later looks at what became of it.

A client that shares no line with the host: the standard library and Odoo's JSON-2 interface. Run as
`python3 - sell|look URL DATABASE KEYFILE [ORDER]`; prints one JSON object.
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.request

ACT, URL, DATABASE, KEYFILE = sys.argv[1:5]
with open(KEYFILE, encoding="ascii") as file:
    KEY = file.read().strip()


def call(model, method, **arguments):
    request = urllib.request.Request(
        f"{URL}/json/2/{model}/{method}",
        data=json.dumps(arguments).encode(),
        headers={
            "Authorization": f"bearer {KEY}",
            "X-Odoo-Database": DATABASE,
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text).get("message", text)
        except ValueError:
            pass
        sys.exit(f"{model}.{method} answered {error.code}: {text[:400]}")


def one(model, domain, fields):
    found = call(model, "search_read", domain=domain, fields=fields, limit=1, order="id")
    if not found:
        sys.exit(f"no {model} with {domain}")
    return found[0]


def sell():
    country = one("res.country", [["code", "=", "US"]], ["id"])["id"]

    def state(code):
        return one("res.country.state", [["country_id", "=", country], ["code", "=", code]], ["id"])["id"]

    warehouse = one("stock.warehouse", [], ["lot_stock_id", "partner_id"])
    # The sender: a warehouse without a complete address cannot ship.
    call(
        "res.partner",
        "write",
        ids=[warehouse["partner_id"][0]],
        vals={
            "street": "250 Executive Park Blvd, Suite 3400",
            "city": "San Francisco",
            "zip": "94134",
            "state_id": state("CA"),
            "country_id": country,
            "phone": "+1 415 555 0134",
        },
    )
    customer = call(
        "res.partner",
        "create",
        vals_list={
            "name": "Marta Lindqvist",
            "street": "1600 Pennsylvania Avenue NW",
            "city": "Washington",
            "zip": "20500",
            "state_id": state("DC"),
            "country_id": country,
            "phone": "+1 202 555 0178",
            "email": "marta@example.com",
        },
    )[0]
    product = call(
        "product.product",
        "create",
        vals_list={
            "name": "Brass ship's bell",
            "default_code": "BELL-08",
            "type": "consu",
            "is_storable": True,
            "list_price": 42.5,
            "weight": 1.2,
        },
    )[0]
    call(
        "stock.quant",
        "create",
        vals_list={
            "product_id": product,
            "location_id": warehouse["lot_stock_id"][0],
            "inventory_quantity_auto_apply": 25,
        },
        context={"inventory_mode": True},
    )
    order = call(
        "sale.order",
        "create",
        vals_list={
            "partner_id": customer,
            "client_order_ref": "PO-4711",
            "order_line": [[0, 0, {"product_id": product, "product_uom_qty": 2}]],
        },
    )[0]
    call("sale.order", "action_confirm", ids=[order])
    return {"id": order, "name": one("sale.order", [["id", "=", order]], ["name"])["name"]}


def look(order):
    deliveries = call(
        "stock.picking",
        "search_read",
        domain=[["sale_id", "=", order], ["picking_type_code", "=", "outgoing"]],
        fields=["name", "state", "carrier_tracking_ref"],
        order="id",
    )
    for delivery in deliveries:
        files = call(
            "ir.attachment",
            "search_read",
            domain=[["res_model", "=", "stock.picking"], ["res_id", "=", delivery["id"]]],
            fields=["name", "mimetype", "datas"],
            order="id",
        )
        delivery["attachments"] = []
        for file in files:
            content = base64.b64decode(file["datas"] or "")
            delivery["attachments"].append(
                {
                    "id": file["id"],
                    "name": file["name"],
                    "mimetype": file["mimetype"],
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
    return {"deliveries": deliveries}


json.dump(sell() if ACT == "sell" else look(int(sys.argv[5])), sys.stdout)
