//! Who carries it: the tenant's rule over the prices that came in.

use wharf_domain::ids::ConnectionId;
use wharf_domain::rate::{Rate, RateAnswer};

use super::label::{Choice, Offer, Quote, Shop};
use super::policy::{Policy, ServiceRule};

/// The connections whose prices the rule needs, in the order of preference; none when the service is fixed.
pub(super) fn asked(policy: &Policy) -> Vec<&ConnectionId> {
    match &policy.service {
        ServiceRule::Fixed { .. } => Vec::new(),
        ServiceRule::Cheapest {} => policy.carriers.iter().collect(),
        ServiceRule::Preferred { services } => {
            policy.carriers.iter().filter(|id| services.iter().any(|s| s.carrier == **id)).collect()
        }
    }
}

/// The service fixed by the policy.
pub(super) fn fixed(policy: &Policy) -> Option<Choice> {
    match &policy.service {
        ServiceRule::Fixed { carrier, service } => {
            Some(Choice { connection: carrier.clone(), service: service.clone(), quoted: None })
        }
        ServiceRule::Cheapest {} | ServiceRule::Preferred { .. } => None,
    }
}

/// What is kept of an answer.
pub(super) fn offers(answer: &RateAnswer) -> Vec<Offer> {
    let keep = |rate: &Rate| Offer {
        service: rate.service.clone(),
        service_name: rate.service_name.clone(),
        total: rate.total.clone(),
        transit_days: rate.transit_days,
    };
    answer.rates.iter().map(keep).collect()
}

/// Applies the rule. `None` when nothing fits. A carrier that failed is passed over: the next one gets the parcel.
/// Prices are compared in the currency of the first carrier that has any; others are not converted.
pub(super) fn choose(policy: &Policy, shop: &Shop) -> Option<Choice> {
    let in_time = |offer: &&Offer| match policy.max_transit_days {
        None => true,
        Some(limit) => offer.transit_days.is_some_and(|days| days <= limit),
    };
    let offered = |id: &ConnectionId| match shop.quotes.get(id) {
        Some(Quote::Answered { offers }) => offers.as_slice(),
        Some(Quote::Asked {} | Quote::Failed { .. }) | None => &[],
    };
    let choice = |id: &ConnectionId, offer: &Offer| Choice {
        connection: id.clone(),
        service: offer.service.clone(),
        quoted: Some(offer.total.clone()),
    };
    match &policy.service {
        ServiceRule::Fixed { .. } => fixed(policy),
        ServiceRule::Preferred { services } => services.iter().find_map(|wish| {
            let offer = offered(&wish.carrier).iter().filter(in_time).find(|offer| offer.service == wish.service)?;
            Some(choice(&wish.carrier, offer))
        }),
        ServiceRule::Cheapest {} => {
            let fitting: Vec<_> = policy
                .carriers
                .iter()
                .flat_map(|id| offered(id).iter().filter(in_time).map(move |offer| (id, offer)))
                .collect();
            let currency = &fitting.first()?.1.total.currency;
            let (id, offer) = fitting
                .iter()
                .filter(|(_, offer)| &offer.total.currency == currency)
                // The first of equal ones stays: the order of `carriers` decides.
                .min_by(|a, b| a.1.total.amount.cmp(&b.1.total.amount))?;
            Some(choice(id, offer))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_domain::fault::{Blame, Fault, FaultKind};
    use wharf_domain::money::Money;

    use super::super::examples;
    use super::super::policy::ServiceRef;
    use super::*;

    fn id(text: &str) -> ConnectionId {
        ConnectionId::parse(text).expect("connection")
    }

    fn offer(service: &str, price: &str, currency: &str, transit_days: Option<u32>) -> Offer {
        let total = Money::parse(price, currency).expect("money");
        Offer { service: service.to_owned(), service_name: String::new(), total, transit_days }
    }

    fn shop(quotes: Vec<(&str, Quote)>) -> Shop {
        let order = examples::order();
        let consignment =
            super::super::rules::consignment(&order, &order.deliveries[0], &examples::policy()).expect("consignment");
        let quotes: BTreeMap<_, _> = quotes.into_iter().map(|(name, quote)| (id(name), quote)).collect();
        Shop { round: 1, consignment, quotes }
    }

    fn answered(offers: Vec<Offer>) -> Quote {
        Quote::Answered { offers }
    }

    fn failed() -> Quote {
        Quote::Failed { fault: Fault::new(FaultKind::Outage, "x", "down", Blame::Partner) }
    }

    fn chosen(policy: &Policy, shop: &Shop) -> Option<(String, String)> {
        choose(policy, shop).map(|c| (c.connection.to_string(), c.service))
    }

    fn pair(a: &str, b: &str) -> Option<(String, String)> {
        Some((a.to_owned(), b.to_owned()))
    }

    #[test]
    fn the_cheapest_wins_within_its_transit_days_and_currency() {
        let mut policy = Policy::of(vec![id("acme"), id("bolt")]);
        let shop = shop(vec![
            ("acme", answered(vec![offer("std", "9.00", "EUR", Some(3)), offer("exp", "19.00", "EUR", Some(1))])),
            ("bolt", answered(vec![offer("eco", "8.50", "EUR", None), offer("us", "1.00", "USD", Some(1))])),
        ]);
        assert_eq!(chosen(&policy, &shop), pair("bolt", "eco"));
        policy.max_transit_days = Some(2);
        assert_eq!(chosen(&policy, &shop), pair("acme", "exp"), "unknown transit days are not within a limit");
        policy.max_transit_days = Some(0);
        assert_eq!(chosen(&policy, &shop), None);
    }

    #[test]
    fn the_order_of_carriers_decides_between_equal_prices() {
        let shop = shop(vec![
            ("acme", answered(vec![offer("a", "5.0", "EUR", None)])),
            ("bolt", answered(vec![offer("b", "5.00", "EUR", None)])),
        ]);
        assert_eq!(chosen(&Policy::of(vec![id("bolt"), id("acme")]), &shop), pair("bolt", "b"));
        assert_eq!(chosen(&Policy::of(vec![id("acme"), id("bolt")]), &shop), pair("acme", "a"));
    }

    #[test]
    fn when_the_first_carrier_fails_the_next_one_gets_the_parcel() {
        let services = vec![
            ServiceRef { carrier: id("acme"), service: "a".to_owned() },
            ServiceRef { carrier: id("bolt"), service: "b".to_owned() },
        ];
        let preferred = ServiceRule::Preferred { services };
        let mut policy = Policy { service: preferred, ..Policy::of(vec![id("acme"), id("bolt"), id("core")]) };
        assert_eq!(asked(&policy), [&id("acme"), &id("bolt")], "`core` is in no preferred service");
        let both = shop(vec![
            ("acme", answered(vec![offer("a", "50", "EUR", None)])),
            ("bolt", answered(vec![offer("b", "5", "EUR", None)])),
        ]);
        assert_eq!(chosen(&policy, &both), pair("acme", "a"));
        let one = shop(vec![("acme", failed()), ("bolt", answered(vec![offer("b", "5", "EUR", None)]))]);
        assert_eq!(chosen(&policy, &one), pair("bolt", "b"));
        policy.service = ServiceRule::Cheapest {};
        assert_eq!(chosen(&policy, &one), pair("bolt", "b"));
        assert_eq!(chosen(&policy, &shop(vec![("acme", failed()), ("bolt", failed())])), None);
    }
}
