"""Uses a volume as the vendor's Python client does: argument 1 is the endpoint, 2 the bucket, 3 the role, 4 its external ID.

Prints one line for each answer that it read."""

import sys

import sevenbridges

endpoint, bucket, role, external_id = sys.argv[1:5]
token = sys.stdin.readline().strip()
api = sevenbridges.Api(url=endpoint, token=token, advance_access=True, debug=True)

print("user", api.users.me().username)
volume = api.volumes.create_s3_volume_role_auth(
    name="python_client", bucket=bucket, role_arn=role, external_id=external_id, access_mode="RO", prefix="raw"
)
print("created", volume.id, volume.access_mode, volume.active)
print("listed", [volume.id for volume in api.volumes.query(limit=100).all()])
print("got", api.volumes.get(volume.id).service["bucket"])
content = volume.list(limit=1)
print("content", [item.location for item in content], content.prefixes)
print("object", volume.get_volume_object_info("sample.vcf").location)
volume.add_member("ben", {"read": True, "copy": True, "write": False, "admin": False})
print("imports", len(api.imports.query(volume=volume, state="RUNNING")))
print("exports", len(api.exports.query(volume=volume, state="RUNNING")))
volume.active = False
volume.save()
print("deactivated", api.volumes.get(volume.id).active)
volume.delete()
print("listed", [volume.id for volume in api.volumes.query(limit=100).all()])
try:
    api.volumes.get("python/none")
except sevenbridges.NotFound as error:
    print("absent", error.code)
