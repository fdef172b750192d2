"""The gate that tries a candidate in a real server process: right, fast, small and cheap enough to be served?"""
