"""Makes the calls that the measured function made, one after the other, as boto3 does."""

import json
import os

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

with open(os.environ["COMPARE_CALLS"], encoding="utf-8") as file:
    PLANS = json.load(file)

CLIENTS = {name: boto3.client(name) for name in ("iam", "sts")}

PHYSICAL_ID = "arn:aws:iam::123456789012:role/measured"


def make(event):
    for stage in PLANS[event["RequestType"]]:
        for call in stage:
            method = getattr(CLIENTS[call["service"]], xform_name(call["action"]))
            try:
                method(**call["input"])
            except ClientError:
                if not call["fails"]:
                    raise
