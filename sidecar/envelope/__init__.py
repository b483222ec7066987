"""Seal and open AWS Encryption SDK messages, with data keys that are awaited from KMS and used for a while.

The only importer of aws-encryption-sdk, and that only once there is a message. Must not know how KMS is asked, nor
invent a format of its own.
"""
