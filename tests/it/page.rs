//! The chat page in a real browser, over the real path to the simulated stack.

use treasury_bot::sandbox::page::{self, About};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::sandbox::stack;

use crate::support::browser::Browser;
use crate::support::stage::{Scenery, Stage};

#[tokio::test]
#[ignore = "needs Chromium"]
async fn a_person_restarts_the_frontend_with_keyboard_and_button() {
    let stage = Stage::set(Scenery {
        pages: true,
        ..Scenery::default()
    })
    .await;
    let browser = Browser::open(1360, 860).await;
    browser.go(&stage.sandbox.page_url()).await;
    browser
        .find(".empty", "Nothing has happened here yet")
        .await;
    browser.picture("empty").await;

    browser
        .type_into("[data-testid=composer]", "/treasury restart frontend")
        .await;
    browser.press("[data-testid=send]", "").await;
    browser
        .find("[data-testid=message]", "Restart frontend?")
        .await;
    browser.picture("question").await;
    browser
        .press("[data-testid=button]", "Restart frontend")
        .await;
    let told = browser
        .find("[data-testid=message]", "frontend restarted in")
        .await;
    drop(told);
    browser.find("[data-testid=message]", "Before").await;
    browser.find("[data-testid=message]", "After").await;
    assert_eq!(stage.stack.calls(), ["restart frontend"]);

    // A fault put in with the panel shows in the answer.
    browser.press("[data-fault=engine-gone]", "").await;
    browser
        .type_into("[data-testid=composer]", "/treasury status\n")
        .await;
    browser
        .find("[data-testid=message]", "Unknown: none of the 4 services")
        .await;
    browser.press("[data-fault=engine-gone]", "").await;

    // An incident gets its channel; its header is there.
    let declare = "/treasury incident declare Slow pages --service frontend\n";
    browser.type_into("[data-testid=composer]", declare).await;
    browser
        .press("[data-testid=channel]", "inc-1-slow-pages")
        .await;
    browser
        .find("[data-testid=message]", "INC-1: Slow pages")
        .await;
    browser
        .type_into(
            "[data-testid=composer]",
            "/treasury logs frontend --lines 5\n",
        )
        .await;
    browser
        .find("[data-testid=message]", "log lines of frontend")
        .await;
    browser.picture("incident").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn on_a_phone_another_person_sees_what_only_they_may() {
    let stage = Stage::set(Scenery {
        pages: true,
        ..Scenery::default()
    })
    .await;
    let browser = Browser::open(500, 844).await;
    browser.go(&stage.sandbox.page_url()).await;
    browser.find("[data-testid=composer]", "").await;
    browser
        .run(
            "const who = document.getElementById('who'); who.value = 'chloe'; \
              who.dispatchEvent(new Event('change'));",
        )
        .await;
    browser
        .type_into("[data-testid=composer]", "/treasury restart api\n")
        .await;
    browser
        .find(
            "[data-testid=message].ephemeral",
            "Only a responder may do this",
        )
        .await;
    browser.picture("phone").await;
    stage.ana("status").await;
    browser
        .find("[data-testid=message]", "4 of 4 services are well")
        .await;
    assert!(stage.stack.calls().is_empty());
    assert_eq!(browser.errors().await, Vec::<String>::new());
    stage.finish().await;
}

/// The sandbox with its page and the stack's panel, as the demo starts it.
pub async fn sandbox_with_pages(config: SandboxConfig, shown: stack::Stack) -> Sandbox {
    Sandbox::start_with(config, |sandbox| {
        page::router(sandbox, &About::default()).merge(stack::router(shown))
    })
    .await
    .unwrap()
}
