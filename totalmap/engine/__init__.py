"""The inference engine: TotalSegmentator's labels from TotalSegmentator's weights, in memory."""
