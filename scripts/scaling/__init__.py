"""The plan for many banners: parameters, what GitHub and machines must carry, and its page."""
