"""A stand-in for MONAI's Task Manager with its Docker plug-in, which needs .NET.

It keeps the contracts at which a MAP and a clinical workflow meet the Task Manager: exchange,
queues and properties of RabbitMQ, the layout of the object store, mounts and environment of the
container, and the callback event. Read from the sources of Project-MONAI/monai-deploy-messaging
(RabbitMqMessageSubscriberService.cs, RabbitMqMessagePublisherService.cs, Events/*.cs) and
Project-MONAI/monai-deploy-workflow-manager (TaskManager.cs, DockerPlugin.cs,
ContainerStatusMonitor.cs, EventMapper.cs).

In two things it is better than the original. That one acknowledges a task as soon as its container
runs, and waits for the end in memory: a task is lost with every Task Manager that ends meanwhile.
The stand-in acknowledges when the broker has confirmed the callback. And a task that is delivered
again fails there, for the container's name and the input's files are taken; here it runs anew.

Left out are what a MAP does not see: temporary credentials, updates of the task's status, and the
folder of `env_MONAI_WORKDIR`, which the App SDK no longer reads.
"""
