"""The dispatching process: makes jobs of complete studies, and queues jobs and deliveries."""
