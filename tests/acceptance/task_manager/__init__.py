"""A stand-in for MONAI's Task Manager with its Docker plug-in, which needs .NET.

It keeps the contracts at which a MAP and a clinical workflow meet the Task Manager: exchange,
queues and properties of RabbitMQ, the layout of the object store, mounts and environment of the
container, and the callback event. Read from the sources of Project-MONAI/monai-deploy-messaging
(RabbitMqMessageSubscriberService.cs, RabbitMqMessagePublisherService.cs, Events/*.cs) and
Project-MONAI/monai-deploy-workflow-manager (TaskManager.cs, DockerPlugin.cs,
ContainerStatusMonitor.cs, EventMapper.cs).

In one thing it is better than the original, which acknowledges a task as soon as its container
runs: the stand-in acknowledges when the callback is published. Had it done as the original does,
a task would be lost with every Task Manager that ends while a container runs.
"""
