"""An agent is read and changed through nginx, which compresses replies: its weak ETag is a good
If-Match, and of two changes of one version at once one is refused."""

import base64
import gzip
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(os.environ["TMPDIR"])
NGINX = str(pathlib.Path(os.environ["KIT"], "bin", "nginx"))
CONFIGURATION = """
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_proxied any;
    gzip_types application/json;
    gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {issuer}; proxy_set_header Host $http_host; }}
    }}
}}
"""


def create(name, *arguments):
    """Makes an agent by command."""
    command = [os.environ["SEALWRIGHT"], "agent", "create", "--json", "--name", name, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def token_of(agent):
    form = urllib.parse.urlencode({"grant_type": "client_credentials"}).encode()
    request = urllib.request.Request(os.environ["ISSUER"] + "/api/v1/token", form)
    basic = base64.b64encode(f"{agent['agentId']}:{agent['clientSecret']}".encode()).decode()
    request.add_header("Authorization", f"Basic {basic}")
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["access_token"]


def send(method, headers, body=None):
    """The status, the header fields and the body of a reply. nginx compresses good ones."""
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"} | headers
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        reply = urllib.request.urlopen(request)
    except urllib.error.HTTPError as refused:
        reply = refused
    with reply:
        packed = reply.headers["Content-Encoding"] == "gzip"
        assert packed == (reply.status == 200), (reply.status, reply.headers)
        content = reply.read()
        return reply.status, reply.headers, json.loads(gzip.decompress(content) if packed else content)


def patch(name, tag):
    headers = {"Content-Type": "application/merge-patch+json", "If-Match": tag}
    return send("PATCH", headers, json.dumps({"name": name}).encode())


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
token = token_of(create("boss", "--scope", "agents:read agents:write admin:orgs"))
agent_id = create("worker", "--scope", "db:read")["agentId"]
url = f"http://127.0.0.1:{port}/api/v1/agents/{agent_id}"
text = CONFIGURATION.format(folder=FOLDER, port=port, issuer=os.environ["ISSUER"])
(FOLDER / "nginx.conf").write_text(text)
command = [NGINX, "-e", FOLDER / "errors", "-c", FOLDER / "nginx.conf", "-g", "daemon off;"]
nginx = subprocess.Popen(command)
try:
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
        assert time.monotonic() < deadline and nginx.poll() is None, (FOLDER / "errors").read_text()
        time.sleep(0.02)
    status, headers, shown = send("GET", {})
    first = headers["ETag"]
    assert (status, first) == (200, f'W/"{shown["version"]}"'), (status, first)
    status, headers, changed = patch("one", first)
    assert (status, changed["name"]) == (200, "one"), (status, changed)
    second = headers["ETag"]
    status, _, refused = patch("two", first)
    assert (status, refused["code"]) == (412, "VERSION_MISMATCH"), (status, refused)
    statuses = []
    both = [
        threading.Thread(target=lambda name=name: statuses.append(patch(name, second)[0]))
        for name in ("three", "four")
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(statuses) == [200, 412], statuses
finally:
    nginx.terminate()
    nginx.wait()
print("system: an agent is changed by the weak ETag of a compressed reply; of two changes of one version at once, one is refused")
