//! Keys and rights of the Odoo twin: a new user's key is made as it was recorded, and opens what it should.

use serde_json::json;
use wharf_twins::odoo::{OdooConfig, start};

use crate::odoo_replay::{ADMIN, BOT, Replay, Step, Who, ask, call, orders, step};
use crate::recorded::shared;

const KEYS: [Step; 11] = [
    step("01-apikey/01-create-user").set(&[("/vals_list/0/password", "password")]),
    step("01-apikey/02-session-authenticate")
        .set(&[("/params/password", "password")])
        .learn(&[("cookie", "@session")])
        // The recording leaves things out and says so.
        .allow(&["- /result/_cut"]),
    step("01-apikey/03-description-create").learn(&[("description", "/result")]),
    step("01-apikey/04-make-key-identity-check")
        .set(&[("/params/args/0/0", "description")])
        .learn(&[("check", "/result/res_id")]),
    step("01-apikey/05-run-check")
        .set(&[("/params/args/0/0", "check"), ("/params/kwargs/context/password", "password")])
        .learn(&[("key", "/result/context/default_key")]),
    step("01-apikey/06-first-call-with-key").by(Who::Key("key")),
    step("01-apikey/07-make-key-over-json2").by(Who::Key("key")).set(&[("/ids/0", "description")]),
    step("01-apikey/08-duration-over-limit").by(Who::Key("key")),
    step("01-apikey/09-persistent-refused").by(Who::Key("key")),
    step("01-apikey/10-list-own-keys").by(Who::Key("key")),
    step("01-apikey/11-private-generate").by(Who::Key("key")),
];

#[tokio::test]
async fn a_key_is_made_in_a_web_session_as_recorded() {
    let Some(shared) = shared() else { return };
    let twin = start(OdooConfig::default()).await.unwrap();
    let mut replay = Replay::new(&twin, &shared);
    replay.put("password", json!("a long enough password"));
    replay.run(&KEYS).await;
    // A user without further groups: what the recording calls the minimal bot.
    replay.run(&[step("03-json2-errors/18-access-right-model").by(Who::Key("key"))]).await;
    let key = replay.vars["key"].as_str().unwrap().to_owned();
    assert!(key.len() == 40 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
    replay.judge();

    let user = ask(&twin, "res.users/search", json!({"domain": [["login", "=", "bot-min"]]})).await;
    ask(&twin, "res.users/write", json!({"ids": user, "vals": {"active": false}})).await;
    assert_eq!(call(&twin, &key, "res.users/context_get", &json!({})).await.status, 401, "archived");
}

#[tokio::test]
async fn a_wrong_password_opens_no_session_and_no_session_opens_nothing() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let ask = |path: &'static str, params| {
        let body = json!({"jsonrpc": "2.0", "method": "call", "id": 1, "params": params});
        let call = crate::client::Call::post(path, &body);
        let url = twin.base_url.clone();
        async move { call.send(&url).await.unwrap() }
    };
    let wrong = json!({"db": "odoo19", "login": "admin", "password": "wrong"});
    let refused = ask("/web/session/authenticate", wrong).await;
    assert_eq!(refused.json()["error"]["data"]["name"], "odoo.exceptions.AccessDenied");
    assert!(!refused.headers.contains_key("set-cookie"));
    let params = json!({"model": "res.users", "method": "context_get", "args": [], "kwargs": {}});
    let refused = ask("/web/dataset/call_kw/res.users/context_get", params).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (200, &json!(100)));
}

#[tokio::test]
async fn the_bot_may_do_what_releasing_an_order_needs_and_nothing_else() {
    let twin = start(OdooConfig::default()).await.unwrap();
    let made = orders(&twin, json!({"count": 1})).await;
    let (order, picking) = (&made[0]["id"], &made[0]["deliveries"][0]["id"]);
    let cases = [
        ("sale.order/read", json!({"ids": [order], "fields": ["name"]}), 200),
        ("stock.picking/write", json!({"ids": [picking], "vals": {"carrier_tracking_ref": "1Z"}}), 200),
        ("stock.move/search_count", json!({"domain": []}), 200),
        ("x_wharf_outbox/search_count", json!({"domain": []}), 200),
        ("sale.order/write", json!({"ids": [order], "vals": {"note": "x"}}), 403),
        ("sale.order/action_confirm", json!({"ids": [order]}), 403),
        ("stock.move/write", json!({"ids": [1], "vals": {"quantity": 9}}), 403),
        ("stock.quant/write", json!({"ids": [1], "vals": {"quantity": 9}}), 403),
        ("x_wharf_outbox/create", json!({"vals_list": [{"x_event": "forged"}]}), 403),
        ("ir.model.data/search", json!({"domain": []}), 403),
        ("res.users/write", json!({"ids": [2], "vals": {"login": "mine"}}), 403),
    ];
    for (path, body, status) in cases {
        assert_eq!(call(&twin, BOT, path, &body).await.status, status, "{path}");
    }
    // A file or a note belongs to a record: it takes the right to write that record.
    let attach = |model: &str| json!({"vals_list": {"name": "l", "res_model": model, "res_id": 1, "datas": "XlhB"}});
    assert_eq!(call(&twin, BOT, "ir.attachment/create", &attach("stock.picking")).await.status, 200);
    assert_eq!(call(&twin, BOT, "ir.attachment/create", &attach("sale.order")).await.status, 403);
    assert_eq!(call(&twin, ADMIN, "ir.attachment/create", &attach("sale.order")).await.status, 200);
}
