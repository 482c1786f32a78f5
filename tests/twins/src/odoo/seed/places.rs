//! Countries, the company, its warehouse, and customers whose addresses exist.

use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::vals;

use super::name_it;

const COUNTRIES: [(&str, &str, i64); 6] = [
    ("United States", "US", 1),
    ("Canada", "CA", 1),
    ("Germany", "DE", 49),
    ("France", "FR", 33),
    ("United Kingdom", "GB", 44),
    ("Mexico", "MX", 52),
];

const STATES: &str = "AL Alabama,AK Alaska,AZ Arizona,AR Arkansas,CA California,CO Colorado,CT Connecticut,DE Delaware,\
    DC District of Columbia,FL Florida,GA Georgia,HI Hawaii,ID Idaho,IL Illinois,IN Indiana,IA Iowa,KS Kansas,KY Kentucky,\
    LA Louisiana,ME Maine,MD Maryland,MA Massachusetts,MI Michigan,MN Minnesota,MS Mississippi,MO Missouri,MT Montana,\
    NE Nebraska,NV Nevada,NH New Hampshire,NJ New Jersey,NM New Mexico,NY New York,NC North Carolina,ND North Dakota,\
    OH Ohio,OK Oklahoma,OR Oregon,PA Pennsylvania,RI Rhode Island,SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,\
    UT Utah,VT Vermont,VA Virginia,WA Washington,WV West Virginia,WI Wisconsin,WY Wyoming";

/// Name, street, city, state, ZIP code, is it a company.
const CUSTOMERS: [(&str, &str, &str, &str, &str, bool); 7] = [
    ("Azure Interiors", "7007 Sea World Dr", "Orlando", "FL", "32821", true),
    ("Bea Holloway", "55 Trinity Ave SW", "Atlanta", "GA", "30303", false),
    ("Lakeside Supply", "121 N LaSalle St", "Chicago", "IL", "60601", true),
    ("Diego Marsh", "301 W 2nd St", "Austin", "TX", "78701", false),
    ("Elm Street Books", "685 Brannan St", "San Francisco", "CA", "94107", true),
    ("Fiona Okafor", "600 4th Ave", "Seattle", "WA", "98101", false),
    ("Gantry Works", "2838 Wake Forest Rd", "Raleigh", "NC", "27609", true),
];

pub(super) fn plant(env: &mut Env<'_>) -> Result<()> {
    let dollar = env.create("res.currency", vals! {"name": "USD", "symbol": "$", "rounding": 0.01, "active": true})?;
    let mut home = 0;
    for (name, code, phone) in COUNTRIES {
        let id =
            env.create("res.country", vals! {"name": name, "code": code, "phone_code": phone, "currency_id": dollar})?;
        name_it(env, &format!("base.{}", code.to_lowercase()), "res.country", id)?;
        home = if code == "US" { id } else { home };
    }
    for state in STATES.split(',') {
        let (code, name) = state.split_once(' ').unwrap_or((state, state));
        let id = env.create("res.country.state", vals! {"name": name, "code": code, "country_id": home})?;
        name_it(env, &format!("base.state_us_{}", code.to_lowercase()), "res.country.state", id)?;
    }
    let company = ("Twin Logistics", "10 Lovely Street", "Raleigh", "NC", "27615", true);
    let partner = address(env, home, company, "+1 919-555-0100")?;
    env.create("res.company", vals! {"name": "Twin Logistics", "partner_id": partner, "currency_id": dollar})?;
    name_it(env, "base.main_company", "res.company", 1)?;
    warehouse(env, partner)
}

pub(super) fn plant_customers(env: &mut Env<'_>) -> Result<()> {
    let home = env.external("base.us").map_or(0, |(_, id)| id);
    for (at, customer) in CUSTOMERS.into_iter().enumerate() {
        address(env, home, customer, &format!("+1 212-555-01{:02}", at + 1))?;
    }
    Ok(())
}

type Entry = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

fn address(
    env: &mut Env<'_>,
    country: i64,
    (name, street, city, state, zip, company): Entry,
    phone: &str,
) -> Result<i64> {
    let state = env.external(&format!("base.state_us_{}", state.to_lowercase())).map(|(_, id)| id);
    let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
    let row = vals! {
        "name": name, "street": street, "city": city, "state_id": state, "zip": zip, "country_id": country,
        "phone": phone, "email": email, "is_company": company, "customer_rank": 1,
    };
    env.create("res.partner", row)
}

fn warehouse(env: &mut Env<'_>, partner: i64) -> Result<()> {
    let place = |env: &mut Env<'_>, name: &str, usage: &str, parent: Option<i64>| {
        env.create("stock.location", vals! {"name": name, "usage": usage, "location_id": parent})
    };
    let vendors = place(env, "Vendors", "supplier", None)?;
    let customers = place(env, "Customers", "customer", None)?;
    place(env, "Inventory adjustment", "inventory", None)?;
    let view = place(env, "WH", "view", None)?;
    let stock = place(env, "Stock", "internal", Some(view))?;
    let house = vals! {
        "name": "Twin Logistics", "code": "WH", "partner_id": partner, "lot_stock_id": stock, "view_location_id": view,
    };
    let house = env.create("stock.warehouse", house)?;
    name_it(env, "stock.warehouse0", "stock.warehouse", house)?;
    let kinds =
        [("Receipts", "incoming", "IN", vendors, stock), ("Delivery Orders", "outgoing", "OUT", stock, customers)];
    for (name, code, letters, from, to) in kinds {
        let row = vals! {
            "name": name, "code": code, "sequence_code": letters, "warehouse_id": house,
            "default_location_src_id": from, "default_location_dest_id": to,
        };
        let kind = env.create("stock.picking.type", row)?;
        let sequence = vals! {
            "name": format!("WH {letters}"), "code": format!("stock.picking.type/{kind}"), "prefix": format!("WH/{letters}/"),
            "padding": 5,
        };
        env.create("ir.sequence", sequence)?;
        if code == "outgoing" {
            env.write("stock.warehouse", &[house], &vals! {"out_type_id": kind})?;
        }
    }
    for place in [view, stock] {
        env.write("stock.location", &[place], &vals! {"warehouse_id": house, "company_id": 1})?;
    }
    Ok(())
}
