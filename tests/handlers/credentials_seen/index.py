def handler(event, context):
    """The key's id and the token; the secret only shows by its length."""
    seen = context.credentials
    return f"{seen.access_key_id} {seen.security_token} {len(seen.access_key_secret)}"
