// The benchmark's adapter in JavaScript. What it does is told in `src/lib.rs`.
import { nowMs } from "wharf:clock/wall@0.1.0";
import { send } from "wharf:http/outgoing@0.1.0";

const BYTES = 20 << 10;
const END = "^XZ";

const given = (options) => options.find(([name]) => name === "order")[1];
const sum = (lines, field) => lines.reduce((all, line) => all + line.quantity * line[field], 0);

/** The label's beginning, and the order with its sums. */
function read(text) {
  const order = JSON.parse(text);
  order.weight_g = sum(order.lines, "weight_g");
  order.value_cents = sum(order.lines, "price_cents");
  const to = order.ship_to;
  const head =
    `^XA^FO20,20^FD${to.name}^FS^FO20,60^FD${to.street}^FS^FO20,100^FD${to.postal_code} ${to.city}^FS` +
    `^FO20,140^FD${order.weight_g} g^FS^FO20,200^GFA,`;
  return { head, order: JSON.stringify(order) };
}

function put(bytes, text, at) {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

export const info = {
  describe() {
    return { name: "", services: [], labelFormats: [], testEnvironment: true, limits: [], extensions: [] };
  },
};

export const rates = {
  rate(context, request) {
    const { head, order } = read(given(request.options));
    const label = head + "0".repeat(BYTES - head.length - END.length) + END;
    const offer = {
      service: "bench",
      serviceName: "bench",
      total: { amount: "0", currency: "EUR" },
      listTotal: null,
      charges: [],
      transitDays: null,
      deliverBy: null,
      billedWeightG: null,
      extensions: [["label", label], ["order", order]],
    };
    return { rates: [offer], messages: [] };
  },
};

export const labels = {
  createShipment(context, request) {
    const { head, order } = read(given(request.options));
    const content = new Uint8Array(BYTES).fill(48);
    put(content, head, 0);
    put(content, END, BYTES - END.length);
    const documents = [{ kind: "label", format: "zpl", content }];
    return {
      reference: request.reference,
      carrierShipmentId: "1",
      trackingNumber: "1",
      parcels: [{ reference: "1", trackingNumber: "1", documents }],
      documents: [],
      total: null,
      listTotal: null,
      charges: [],
      billedWeightG: null,
      messages: [],
      extensions: [["order", order]],
    };
  },
  findByReference(context, reference) {
    send({ method: "GET", url: `${context.endpoint}/`, headers: [], body: null, options: [] });
    return null;
  },
  void(context, id) {
    const times = Number(id);
    for (let i = 0; i < times; i++) nowMs();
    return { carrierShipmentId: id, already: false };
  },
};
