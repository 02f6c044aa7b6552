//! How a container is stopped.

use serde_json::json;

use crate::settings::OwnImage;
use crate::{Pair, file, naively, swap};

/// Ends well on its image's own signal alone, and needs longer for it than most are given.
const PROGRAM: &str = "trap '' TERM; trap 'sleep 4; echo clean > /named/end; exit 0' USR1; touch /named/ready; \
                       while :; do sleep 0.1; done";

#[tokio::test]
async fn a_container_is_stopped_by_its_own_signal_and_in_its_own_time() {
    let image = OwnImage::new("stopping", &["STOPSIGNAL SIGUSR1"]);
    let mut pair = Pair::of_image(&image.0, |body, _| {
        body["Cmd"] = json!(["sh", "-c", PROGRAM]);
        body["StopTimeout"] = json!(60);
    })
    .await;
    pair.exec(&["sh", "-c", "while ! [ -e /named/ready ]; do sleep 0.1; done"]).await;

    naively(&pair.naive, &[]).await.unwrap();
    assert_eq!(file(&pair.naive, "/named/end").await, "", "it was killed");

    swap(&mut pair.ours, 1, &[]).await;
    assert_eq!(file(&pair.ours, "/named/end").await, "clean\n");
}
