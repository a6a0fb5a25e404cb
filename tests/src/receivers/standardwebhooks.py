"""Verifies Standard Webhooks 1.0 with the standard library, where the package of PyPI is not installed."""

import base64
import hashlib
import hmac
import time


class WebhookVerificationError(Exception):
    pass


class Webhook:
    def __init__(self, secret):
        self.key = base64.b64decode(secret.removeprefix("whsec_"))

    def verify(self, body, headers):
        found = {name.lower(): value for name, value in headers.items()}
        stamp = found.get("webhook-timestamp", "")
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
            raise WebhookVerificationError("the time")
        signed = f"{found.get('webhook-id')}.{stamp}.".encode() + body
        expected = base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()
        for signature in found.get("webhook-signature", "").split(" "):
            if hmac.compare_digest(signature, "v1," + expected):
                return
        raise WebhookVerificationError("the signature")
