"""HTTP to engines that are told what to do that way."""

import json
import urllib.error
import urllib.request
import uuid

from comparison.program import Failure

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT = 20


def request(url, body=None, headers=None, method=None):
    """(status, headers, body) of one request; errors of HTTP are answers, others are failures."""
    ask = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with OPENER.open(ask, timeout=TIMEOUT) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()
    except OSError as error:
        raise Failure(f"{url}: {error}") from error


def expect(url, body=None, headers=None, method=None):
    """The body of an answer with status 200."""
    status, _, answer = request(url, body, headers, method)
    if status != 200:
        raise Failure(f"{url}: status {status}: {answer[:200].decode(errors='replace')}")
    return answer


def expect_json(url, body=None, headers=None, method=None):
    return json.loads(expect(url, body, headers, method))


def is_up(url):
    """Whether anything answers there."""
    try:
        return request(url)[0] > 0
    except Failure:
        return False


def form(fields, files):
    """(body, headers) of a multipart form; `files` are (field, name, bytes)."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{value}\r\n".encode()
        )
    for field, name, content in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            "Content-Type: application/x-bittorrent\r\n\r\n"
        )
        parts += [head.encode(), content, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
