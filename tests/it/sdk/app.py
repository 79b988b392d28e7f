"""A small app by Slack's own SDK (Bolt), which a story runs against the sandbox.

It serves what the sandbox sends, by Socket Mode or (PORT is set) by HTTP, and tells in the channel
what it was told.
"""

import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

client = WebClient(token=os.environ["BOT_TOKEN"], base_url=os.environ["API_URL"] + "/")
app = App(client=client, signing_secret=os.environ["SIGNING_SECRET"])

BUTTON = {
    "type": "actions",
    "elements": [
        {"type": "button", "action_id": "open", "text": {"type": "plain_text", "text": "Open"}}
    ],
}
FORM = {
    "type": "modal",
    "callback_id": "form",
    "title": {"type": "plain_text", "text": "A form"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Why"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}


@app.command("/treasury")
def command(ack, say, command):
    ack("taken")
    say(text=f"typed: {command['text']}", blocks=[BUTTON])


@app.action("open")
def opened(ack, body, respond, client):
    ack()
    FORM["private_metadata"] = body["channel"]["id"]
    client.views_open(trigger_id=body["trigger_id"], view=FORM)
    respond(text="it is open", replace_original=True)


@app.view("form")
def submitted(ack, view, client):
    why = view["state"]["values"]["why"]["text"]["value"]
    if len(why) < 3:
        ack(response_action="errors", errors={"why": "say more"})
        return
    ack()
    channel = view["private_metadata"]
    posted = client.chat_postMessage(channel=channel, text=f"because: {why}")
    client.chat_update(channel=channel, ts=posted["ts"], text=f"because of this: {why}")
    client.reactions_add(channel=channel, timestamp=posted["ts"], name="eyes")
    client.pins_add(channel=channel, timestamp=posted["ts"])
    client.files_upload_v2(
        channel=channel, content="a,b\n1,2\n", filename="table.csv", thread_ts=posted["ts"]
    )


@app.event("app_mention")
def mentioned(event, say, client):
    names = [
        channel["name"]
        for page in client.conversations_list(limit=1)
        for channel in page["channels"]
    ]
    person = client.users_info(user=event["user"])["user"]["name"]
    history = client.conversations_history(channel=event["channel"], limit=100)["messages"]
    try:
        client.chat_update(channel=event["channel"], ts="1.000000", text="x")
    except SlackApiError as error:
        refused = error.response["error"]
    say(
        f"{person} mentioned me; {len(names)} channels, {len(set(names))} names; "
        f"in here: {any('because of this: ' in one['text'] for one in history)}; refused: {refused}",
        thread_ts=event["ts"],
    )


if os.environ.get("PORT"):
    serve = SlackRequestHandler(app)

    def any_path(environ, start_response):
        """All that Slack sends comes to the one path that Bolt has."""
        environ["PATH_INFO"] = "/slack/events"
        return serve(environ, start_response)

    WSGIRequestHandler.log_request = lambda *_: None
    make_server("127.0.0.1", int(os.environ["PORT"]), any_path).serve_forever()
else:
    handler = SocketModeHandler(app, os.environ["APP_TOKEN"])
    handler.connect()
    sys.stdin.read()
