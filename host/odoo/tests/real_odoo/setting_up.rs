//! Setup and doctor: made twice, tampered with, mended; each kind of trouble told apart.

use secrecy::SecretString;
use serde_json::json;
use wharf_odoo::setup::{Change, SetupRequest, setup};
use wharf_odoo::{Level, OdooConfig, probe};

use crate::house::House;

pub(crate) async fn setting_up_twice(house: &House, url: &str) -> OdooConfig {
    let company =
        house.person("res.users", "search_read", json!({"domain": [["id", "=", 2]], "fields": ["company_id"]})).await;
    let wanted = OdooConfig { company: company[0]["company_id"][0].as_i64(), ..house.admin.clone() };
    let mut request = SetupRequest {
        webhook_url: None,
        bot_login: None,
        bot_password: format!("a throw-away password {}", house.run).into(),
        current_key: None,
    };
    let wide =
        setup(house.egress.clone(), &*house.clock, &house.admin, &request).await.expect("setup for every company");
    for item in &wide.items {
        println!("{:?} {}", item.change, item.what);
    }
    assert!(wide.new_key.is_some(), "a key was made");
    request.current_key = wide.new_key;
    request.webhook_url = Some(url.to_owned().into());
    let first = setup(house.egress.clone(), &*house.clock, &wanted, &request).await.expect("setup for one company");
    assert!(first.new_key.is_none(), "the key still works");
    let rules = first.items.iter().filter(|item| item.what.starts_with("rule:"));
    assert!(rules.clone().all(|item| item.change != Change::Kept), "{:?}", first.items);
    assert_eq!(rules.count(), 4);
    let second = setup(house.egress.clone(), &*house.clock, &wanted, &request).await.expect("second setup");
    let changed: Vec<_> = second.items.iter().filter(|item| item.change != Change::Kept).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(second.new_key.is_none());
    assert_eq!(second.bot_login, "wharf-odoo-room-test");
    somebody_tampers(house).await;
    let third = setup(house.egress.clone(), &*house.clock, &wanted, &request).await.expect("third setup");
    let changed: Vec<_> = third.items.iter().filter(|item| item.change != Change::Kept).collect();
    let made: Vec<_> = changed.iter().map(|item| (item.what.as_str(), item.change)).collect();
    assert_eq!(
        made,
        [
            ("right: read `uom.uom`", Change::Updated),
            ("rule: confirmed and cancelled orders", Change::Created),
            ("rule: states of outgoing deliveries", Change::Updated),
        ]
    );
    OdooConfig { api_key: request.current_key.expect("key"), ..wanted }
}

/// A rule is deleted, another switched off, a right widened.
async fn somebody_tampers(house: &House) {
    let record = async |name: &str| {
        let domain = json!([["module", "=", "__wharf__"], ["name", "=", name]]);
        let rows = json!({"domain": domain, "fields": ["res_id"]});
        house.person("ir.model.data", "search_read", rows).await[0]["res_id"].clone()
    };
    let order = record("rule_order_odoo-room-test").await;
    house.person("base.automation", "unlink", json!({"ids": [order]})).await;
    let delivery = record("rule_delivery_odoo-room-test").await;
    house.person("base.automation", "write", json!({"ids": [delivery], "vals": {"active": false}})).await;
    let right = record("access_uom_uom").await;
    house.person("ir.model.access", "write", json!({"ids": [right], "vals": {"perm_write": true}})).await;
}

pub(crate) async fn looking_for_trouble(house: &House, bot: &OdooConfig) {
    let codes = async |config: &OdooConfig| -> Vec<(Level, &'static str, String)> {
        let found = probe(house.egress.clone(), &*house.clock, config).await;
        found.into_iter().map(|f| (f.level, f.code, f.text)).collect()
    };
    let fine = codes(bot).await;
    assert!(fine.iter().all(|(level, _, _)| *level == Level::Fine), "{fine:?}");
    println!("{fine:?}");
    let last = |config: OdooConfig| async move { codes(&config).await.pop().expect("a finding") };
    let wrong_key = OdooConfig { api_key: SecretString::from("0".repeat(40)), ..bot.clone() };
    assert_eq!(last(wrong_key).await.1, "key");
    let wrong_database = last(OdooConfig { database: "nope".to_owned(), ..bot.clone() }).await;
    assert_eq!(wrong_database.1, "database");
    assert!(wrong_database.2.contains("`nope`"), "{wrong_database:?}");
    assert_eq!(last(OdooConfig { url: "http://127.0.0.1:1".to_owned(), ..bot.clone() }).await.1, "unreachable");
    assert_eq!(last(OdooConfig { company: Some(999), ..bot.clone() }).await.1, "company");
    // The bot may not do what its group does not say.
    let password = SecretString::from("never used, never used");
    let request = SetupRequest { webhook_url: None, bot_login: None, bot_password: password, current_key: None };
    let refused =
        setup(house.egress.clone(), &*house.clock, bot, &request).await.err().expect("the bot is no administrator");
    assert!(refused.message.contains("Administrator"), "{refused}");
}

/// Leaves no rule of this test behind: other orders in this Odoo are none of its business.
pub(crate) async fn switching_off(house: &House) {
    let ours = json!([
        ["module", "=", "__wharf__"],
        ["name", "like", "odoo-room-test"],
        ["model", "in", ["base.automation", "res.users"]]
    ]);
    let rows =
        house.person("ir.model.data", "search_read", json!({"domain": ours, "fields": ["model", "res_id"]})).await;
    for row in rows.as_array().expect("rows") {
        let model = row["model"].as_str().expect("model");
        house.person(model, "write", json!({"ids": [row["res_id"]], "vals": {"active": false}})).await;
    }
}
