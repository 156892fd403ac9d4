//! Conversations that are interrupted when the application's pod stops.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ended::running;

/// Describes what a stop of the application means for the conversations whose sandboxes run; None if there is none.
/// `new_image` is the image of future sandboxes, if the run changes it: a sandbox keeps its image as long as its pod
/// exists, because the application finds it by its name.
#[must_use]
pub fn interrupted_conversations(pods: &[Value], new_image: Option<&str>) -> Option<String> {
    let running = running(pods);
    let text = match running.len() {
        0 => return None,
        1 => "1 conversation has a running sandbox and is interrupted if it is at work; it starts again when it is \
              opened, with its sandbox and files"
            .to_owned(),
        count => format!(
            "{count} conversations have a running sandbox and are interrupted if they are at work; each starts again \
             when it is opened, with its sandbox and files"
        ),
    };
    Some(text + &new_image.and_then(|image| kept_images(&running, image)).unwrap_or_default())
}

/// Describes what a stop of the application means for the conversations that are at work in its own pod; None if there is
/// none.
#[must_use]
pub fn interrupted_in_the_pod(running: u32) -> Option<String> {
    match running {
        0 => None,
        1 => Some("1 conversation is at work and is interrupted; its messages and files stay".to_owned()),
        count => Some(format!(
            "{count} conversations are at work and are interrupted; their messages and files stay"
        )),
    }
}

/// Names the images of the running sandboxes other than the new one.
fn kept_images(running: &[&Value], new_image: &str) -> Option<String> {
    let images = running.iter().filter_map(|pod| pod["spec"]["containers"][0]["image"].as_str());
    let kept: Vec<&str> = images.filter(|image| *image != new_image).collect();
    let names: BTreeSet<&str> = kept.iter().copied().collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let sandboxes = match kept.len() {
        0 => return None,
        1 => "1 sandbox keeps its image".to_owned(),
        count => format!("{count} sandboxes keep their image"),
    };
    Some(format!("; {sandboxes} {names} also then, and only new sandboxes get {new_image}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conversations_at_work_in_the_pod_are_counted() {
        assert_eq!(interrupted_in_the_pod(0), None);
        assert!(interrupted_in_the_pod(1).unwrap().starts_with("1 conversation is at work"));
        assert!(interrupted_in_the_pod(2).unwrap().starts_with("2 conversations are at work"));
    }

    fn pod(name: &str, phase: &str, image: &str) -> Value {
        json!({
            "metadata": { "name": format!("openhands-runtime-{}", name.repeat(32)) },
            "spec": { "containers": [{ "name": "runtime", "image": image }] },
            "status": { "phase": phase },
        })
    }

    #[test]
    fn only_running_sandboxes_are_interrupted() {
        assert_eq!(interrupted_conversations(&[pod("a", "Failed", "r:1")], None), None);
        let one = [pod("a", "Running", "r:1"), pod("b", "Failed", "r:1")];
        let text = interrupted_conversations(&one, None).unwrap();
        assert!(text.starts_with("1 conversation has a running sandbox and is interrupted"), "{text}");
        assert!(text.ends_with("with its sandbox and files"), "{text}");
    }

    #[test]
    fn sandboxes_of_before_keep_the_old_image() {
        let pods =
            [pod("a", "Running", "r:0.59"), pod("b", "Running", "r:0.59"), pod("c", "Running", "r:1.6")];
        let text = interrupted_conversations(&pods, Some("r:1.6")).unwrap();
        assert!(text.starts_with("3 conversations have a running sandbox and are interrupted"), "{text}");
        let kept = "; 2 sandboxes keep their image r:0.59 also then, and only new sandboxes get r:1.6";
        assert!(text.ends_with(kept), "{text}");
        assert!(!interrupted_conversations(&pods[2..], Some("r:1.6")).unwrap().contains("keep"));
    }
}
