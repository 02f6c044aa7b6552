//! Addresses, aliases and networks.

use serde_json::json;

use crate::yard::RealYard;
use crate::{naively, replace, restore, swap};

const MAC: &str = "02:42:0a:d7:00:63";
/// Asked for when it is connected to the second network, where engines take none: there is nothing to lose.
const SECOND_MAC: &str = "02:42:0a:d7:00:64";

/// A container with a fixed address on one network and an alias on each of two; `number` makes their
/// addresses its own.
async fn on_two_networks(number: u8) -> RealYard {
    let yard = RealYard::with(|_, _| {}).await;
    let client = yard.client();
    let (front, back) = (format!("{}-front", yard.name), format!("{}-back", yard.name));
    for (name, part) in [(&front, 1), (&back, 2)] {
        let subnet = format!("10.215.{}.0/24", number * 10 + part);
        let body = json!({"Name": name, "IPAM": {"Config": [{"Subnet": subnet}]}});
        client.post(&["networks", "create"]).json_body(&body).done().await.unwrap();
    }
    let endpoint =
        json!({"Aliases": ["shop"], "IPAMConfig": {"IPv4Address": format!("10.215.{}.77", number * 10 + 1)}});
    let body = json!({
        "Image": yard.reference, "MacAddress": MAC, "HostConfig": {"NetworkMode": front},
        "NetworkingConfig": {"EndpointsConfig": {&front: endpoint}},
    });
    replace(&yard, &body).await;
    let endpoint = json!({"Aliases": ["behind"], "MacAddress": SECOND_MAC});
    let connect = json!({"Container": yard.name, "EndpointConfig": endpoint});
    client.post(&["networks", &back, "connect"]).json_body(&connect).done().await.unwrap();
    yard
}

#[tokio::test]
async fn addresses_aliases_and_networks_come_back() {
    let (naive, mut ours) = (on_two_networks(1).await, on_two_networks(2).await);
    let endpoint = async |yard: &RealYard, network: &str| {
        let inspect = yard.inspect(&yard.name).await;
        inspect["NetworkSettings"]["Networks"][format!("{}-{network}", yard.name)].clone()
    };
    naively(&naive, &[]).await.unwrap();
    let front = endpoint(&naive, "front").await;
    assert_ne!(front["IPAddress"], "10.215.11.77", "its fixed address");
    assert!(!front["Aliases"].to_string().contains("shop"), "its alias: {front}");
    assert!(endpoint(&naive, "back").await.is_null(), "its second network");
    // `Config` tells of the address that was asked for on the first network, so that one is not lost.
    assert_eq!(front["MacAddress"], MAC);

    let all_there = async |yard: &RealYard| {
        let (front, back) = (endpoint(yard, "front").await, endpoint(yard, "back").await);
        assert_eq!((&front["IPAddress"], &front["MacAddress"]), (&json!("10.215.21.77"), &json!(MAC)));
        assert_ne!(back["MacAddress"], SECOND_MAC);
        for (endpoint, alias) in [(front, "shop"), (back, "behind")] {
            assert!(endpoint["Aliases"].as_array().unwrap().contains(&json!(alias)), "{endpoint}");
            assert!(yard.exec(&yard.name, &["getent", "hosts", alias]).await.starts_with("10.215.2"));
        }
    };
    all_there(&ours).await;
    let before = ours.target().await;
    let snapshot = swap(&mut ours, 1, &[]).await;
    all_there(&ours).await;
    assert_eq!(ours.target().await.config, before.config);
    restore(&mut ours, 2, &snapshot).await;
    all_there(&ours).await;
}
